"""Checkpoints of TensorFlow that have variables by name, and nothing else."""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


def write(prefix: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a V2 checkpoint. The same arrays give the same bytes.

    Args:
      prefix: of its files; their directory must exist.
      arrays: by name.

    Raises:
      tf.errors.OpError: the files can't be written.
    """
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=os.fspath(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        # Converted one by one: the operation would copy all arrays at once.
        tensors=[tf.convert_to_tensor(arrays[name]) for name in names],
    )
