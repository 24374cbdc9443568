"""Checkpoints for tests: V2 ones of any arrays, what is read from them, and one-bit changes of bytes."""

import numpy as np
import tensorflow as tf


def write_v2(arrays, prefix) -> None:
    """Write a V2 checkpoint."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )


def assert_same_weights(actual, expected) -> None:
    """Assert that the arrays are float32, and equal by name."""
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == np.float32
        np.testing.assert_array_equal(actual[name], array)


def flipped(data: bytes, at: float) -> bytes:
    """Return `data` with one bit changed, at a position in [0, 1)."""
    byte, bit = divmod(int(at * len(data) * 8), 8)
    return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]
