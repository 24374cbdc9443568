"""Write a synthetic checkpoint archive: the layout of the published one, with untrained weights.

The weights have the properties that make trained weights hard to export correctly: filters that are not
centred, channels whose scales differ by orders of magnitude, dead channels, moving means as large as the
deviation, gammas of either sign and of 0, and betas that matter. Magnitudes are such that activations keep
their size from layer to layer, and different images get different logits.

The same seed gives the same bytes on every machine: only integers are drawn, and all further arithmetic is
defined by IEEE 754 to the last bit.
"""

import math
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.models import network
from slimhub.models.model import Model
from slimhub.support import tar_gz
from slimhub.support.tf_errors import summarize_tf_error

_SEED = 20160828
_STEPS = 1 << 20
# Filters that are drawn at once.
_FILTERS = 256

# Mean and variance of the input of every layer but the first. It is taken to be the ReLU of a standard
# normal variable z: E[max(z, 0)], and E[max(z, 0)^2] less the square of the mean.
_RELU_MEAN = 1 / np.sqrt(2 * np.pi)
_RELU_VARIANCE = 0.5 - 0.5 / np.pi

# Of 64 channels, one has the variance 0 and one has `_DEAD_VARIANCE`, as channels that died in training.
_DEAD_ODDS = 64
_DEAD_VARIANCE = 1e-14
_DEAD_SCALE = 2.0**-23
# Ranges of the exponents of channels' scales. Batch norm removes the scales again. Without batch norm,
# they differ less, and their mean square is nearly 1.
_SCALES, _SCALES_WITHOUT_NORM = (-6, 7), (-3, 2)
# The scopes of the last convolutions of residual blocks. Their output has to be small, because the outputs
# of all blocks add up.
_LAST_OF_BLOCK = ("bottleneck_v1/conv3", "bottleneck_v2/conv3")


def write_archive(model: Model, *, into: Path) -> Path:
    """Write `model`'s archive into the directory `into`, and return its path. Raise `OSError`."""
    checkpoint = into / model.archive.member
    write_checkpoint(weights(model), checkpoint)
    archive = into / model.archive.name
    with tar_gz.create(archive) as tar, checkpoint.open("rb") as content:
        member = tarfile.TarInfo(model.archive.member)
        member.size = checkpoint.stat().st_size
        tar.addfile(member, content)
    checkpoint.unlink()
    return archive


def write_checkpoint(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write a checkpoint in the V1 format, one file, as TF-Slim published its checkpoints.

    Args:
      arrays: values of the variables, by name.
      path: the file.

    Raises:
      OSError: the file can't be written.
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
        raise OSError(summarize_tf_error(error)) from error


def weights(model: Model) -> dict[str, np.ndarray]:
    """Return untrained weights of `model`, with its published number of classes: float32, by name."""
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
    # By layer, the names of its variables by their last parts.
    layers: dict[str, dict[str, str]] = {}
    for name in shapes:
        scope, _, kind = name.replace("/BatchNorm/", "/").rpartition("/")
        layers.setdefault(scope, {})[kind] = name
    arrays: dict[str, np.ndarray] = {}
    for scope, names in layers.items():
        made = _layer(model, scope, {kind: shapes[name] for kind, name in names.items()})
        arrays |= {name: made[kind].astype(np.float32) for kind, name in names.items()}
    return arrays


def _layer(model: Model, scope: str, shapes: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """Return the variables of one layer. They and `shapes` are keyed by the last parts of their names."""

    def random(kind: str) -> np.random.RandomState:
        # Seeded by name, so that a variable doesn't depend on which other variables there are.
        return np.random.RandomState([_SEED, zlib.crc32(f"{scope}/{kind}".encode())])

    norm = "moving_variance" in shapes
    separable = "depthwise_weights" in shapes
    kind = "pointwise_weights" if separable else "weights"
    if kind not in shapes:
        # It normalizes sums of blocks' outputs, whose channels are all alive, with a mean square near 1.
        return _norm(random, mean=np.zeros(shapes["beta"]), deviation=np.ones(shapes["beta"]))
    *_, inputs, channels = shapes[kind]
    mean, variance = _RELU_MEAN, _RELU_VARIANCE
    if separable or inputs == 3:
        # The input is images: uniform noise in [0, 1], rescaled by the network.
        mean, variance = 0.0, model.input_scale**2 / 12
    scale = _scales(random("scales"), channels, norm=norm)
    if not norm and variance > 1:
        # The images are scaled to bytes, and no batch norm removes that scale.
        scale /= 128
    divisor = 8 if scope.endswith(_LAST_OF_BLOCK) else 1
    if not norm:
        scale /= divisor
    made = {}
    made[kind], sums = _kernel(
        random(kind), shapes[kind], scale, fan_in=math.prod(shapes[kind][:-1])
    )
    if separable:
        depthwise = shapes["depthwise_weights"]
        ones = np.ones(depthwise[-1])
        made["depthwise_weights"], _ = _kernel(
            random("depthwise_weights"), depthwise, ones, fan_in=math.prod(depthwise[:2])
        )
    # Filters that are not centred map the mean of their input to `mean * sums`.
    if not norm:
        shift = _uniform(random("shift"), channels) / 2
        return {**made, "biases": shift * scale - mean * sums}
    # With this initialization, the output of a kernel has twice the variance of its input.
    made |= _norm(random, mean=mean * sums, deviation=np.sqrt(2 * variance) * scale)
    made["gamma"] /= divisor
    made["moving_variance"][scale == _DEAD_SCALE] = _DEAD_VARIANCE
    return made


def _norm(random, *, mean: np.ndarray, deviation: np.ndarray) -> dict[str, np.ndarray]:
    """Return the variables of a batch norm from about the mean and deviation of each channel before it.

    Args:
      random: function that returns the generator of a kind of variables.
      mean, deviation: float64 `[channels]`.
    """
    channels = len(mean)
    shift = _uniform(random("shift"), channels) / 2
    spread = 1 + _uniform(random("moving_variance"), channels) / 4
    return {
        "beta": shift,
        "gamma": _gammas(random("gamma"), channels),
        "moving_mean": mean + deviation * shift / 2,
        "moving_variance": deviation * deviation * spread,
    }


def _scales(random: np.random.RandomState, channels: int, *, norm: bool) -> np.ndarray:
    """Return the scale of each channel, a power of two. With batch norm, some channels are dead."""
    least, beyond = _SCALES if norm else _SCALES_WITHOUT_NORM
    scales = np.ldexp(1.0, random.randint(least, beyond, size=channels))
    if norm:
        fate = random.randint(_DEAD_ODDS, size=channels)
        scales = np.select([fate == 0, fate == 1], [0.0, _DEAD_SCALE], scales)
    return scales


def _gammas(random: np.random.RandomState, channels: int) -> np.ndarray:
    """Return gammas with magnitudes of 0.5 to 1.5; some are negative, some are 0."""
    fate = random.randint(16, size=channels)
    sign = np.select([fate == 0, fate < 3], [0.0, -1.0], 1.0)
    return sign * (1 + _uniform(random, channels) / 2)


def _kernel(
    random: np.random.RandomState, shape: list[int], scale: np.ndarray, *, fan_in: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a float32 kernel whose filters have these scales, and the sum of each filter in float64."""
    # He et al. 2015, arXiv 1502.01852: variance 2 / fan_in, here of a uniform distribution.
    limit = np.sqrt(6 / fan_in)
    kernel, sums = np.empty(shape, np.float32), np.empty(shape[-1])
    # A few filters at once, because the largest kernel has 400 MB.
    for first in range(0, shape[-1], _FILTERS):
        some = slice(first, first + _FILTERS)
        steps = _steps(random, kernel[..., some].shape)
        unit = scale[some] * (limit / _STEPS)
        kernel[..., some] = steps * unit
        # A sum of integers doesn't depend on its order.
        sums[some] = steps.sum(axis=(0, 1, 2), dtype=np.int64) * unit
    return kernel, sums


def _uniform(random: np.random.RandomState, size: int) -> np.ndarray:
    """Return random numbers in [-1, 1)."""
    return _steps(random, size) / _STEPS


def _steps(random: np.random.RandomState, shape) -> np.ndarray:
    return random.randint(-_STEPS, _STEPS, size=shape, dtype=np.int32).astype(np.int64)
