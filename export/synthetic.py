"""Writes a synthetic checkpoint archive: the published one's layout with untrained weights.

Only integers are drawn, and only exact arithmetic follows, so that the same seed gives the
same bytes on every machine. Magnitudes are such that activations keep their size from layer
to layer and different images get different logits.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export import stored_gzip
from slimhub.export.reasons import reason
from slimhub.models import network
from slimhub.models.catalog import Model

_SEED = 20160828
_STEPS = 1 << 20
# How many are drawn at once.
_FILTERS = 256

# Of a ReLU's output, when its input is standard normal: E[max(z, 0)^2] - E[max(z, 0)]^2.
_RELU_VARIANCE = 0.5 - 1 / (2 * np.pi)


def write_archive(model: Model, *, into: Path) -> Path:
    """Writes `model`'s archive into the directory `into`, and returns its path. Raises `OSError`."""
    checkpoint = into / model.archive.member
    write_checkpoint(weights(model), checkpoint)
    archive = into / model.archive.name
    with (
        archive.open("wb") as file,
        stored_gzip.Writer(file) as unzipped,
        tarfile.open(fileobj=unzipped, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        checkpoint.open("rb") as content,
    ):
        member = tarfile.TarInfo(model.archive.member)
        member.size = checkpoint.stat().st_size
        tar.addfile(member, content)
    checkpoint.unlink()
    return archive


def write_checkpoint(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Writes a checkpoint in the V1 format: one file, as TF-Slim's were published.

    Raises:
      OSError: it can't be written.
    """
    names = sorted(arrays)
    try:
        # The operation behind `tf.compat.v1.train.Saver(write_version=SaverDef.V1)`.
        tf.raw_ops.SaveSlices(
            filename=str(path),
            tensor_names=names,
            shapes_and_slices=[""] * len(names),
            data=[arrays[name] for name in names],
        )
    except tf.errors.OpError as error:
        raise OSError(reason(error)) from error


def weights(model: Model) -> dict[str, np.ndarray]:
    """Untrained weights of `model` with its published number of classes: float32, by name."""
    with tf.Graph().as_default():
        images = tf.compat.v1.placeholder(tf.float32, [None, *model.image_size, 3])
        built = network.build(
            model,
            images,
            training=False,
            batch_norm_momentum=None,
            num_classes=model.num_classes,
        )
        shapes = {variable.op.name: variable.shape.as_list() for variable in built.variables}
    return {name: _array(name, shape) for name, shape in shapes.items()}


def _array(name: str, shape: list[int]) -> np.ndarray:
    # Seeded by name: a weight does not depend on which others there are.
    random = np.random.RandomState([_SEED, zlib.crc32(name.encode())])
    kind = name.rsplit("/", 1)[-1]
    if kind.endswith("weights"):
        return _kernel(random, shape, depthwise=kind == "depthwise_weights")
    uniform = _steps(random, shape) * (0.1 / _STEPS)
    if kind == "moving_variance":
        uniform = 2 * _RELU_VARIANCE * (1 + 3 * uniform)
    elif kind == "gamma":
        # Three of a residual block make a 64th of its variance: hundreds of layers add up to little, of
        # what rounding does, too, which centred filters keep more of than of their input.
        uniform = 0.5 * (1 + uniform)
    return uniform.astype(np.float32)


def _kernel(random: np.random.RandomState, shape: list[int], *, depthwise: bool) -> np.ndarray:
    # A depthwise kernel [h, w, channels, multiplier] sums over h and w only.
    axes = (0, 1) if depthwise else (0, 1, 2)
    fan_in = int(np.prod([shape[axis] for axis in axes]))
    # He et al. 2015, arXiv 1502.01852: variance 2 / fan_in, here of a uniform distribution.
    limit = np.sqrt(6 / fan_in)
    kernel = np.empty(shape, np.float32)
    # Filter by filter: the largest kernel has 400 MB.
    for first in range(0, shape[-1], _FILTERS):
        part = kernel[..., first : first + _FILTERS]
        steps = _steps(random, part.shape)
        # Centred filters cancel the positive mean that a ReLU leaves, as batch norm would.
        steps -= steps.sum(axis=axes, keepdims=True, dtype=np.int64) // fan_in
        part[...] = steps * (limit / _STEPS)
    return kernel


def _steps(random: np.random.RandomState, shape) -> np.ndarray:
    return random.randint(-_STEPS, _STEPS, size=shape, dtype=np.int32).astype(np.int64)
