"""Checks that run a module, of any format. Each yields what is wrong, one line a problem.

Images come from a fixed seed; figures are relative to the largest magnitude.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from slimhub.signatures import contract, running
from slimhub.signatures.interface import TensorSpec, tensor_type
from slimhub.signatures.subject import Subject

Problems = Iterator[str]

# For what must be equal but for the order of sums in float32.
TOLERANCE = 1e-5
# Of a float32 that was rounded a few times.
_ROUNDING = 4 * np.finfo(np.float32).eps


def loads(subject: Subject) -> Problems:
    """It can be loaded in every promised mode, with its variables."""
    for mode in subject.modes:
        try:
            subject.run(mode)
        except Exception as error:  # Whatever a broken graph makes TensorFlow raise is the finding.
            yield f"{mode.label}: {running.describe(error)}"


def output_shapes(subject: Subject) -> Problems:
    """The arrays of every output have the promised dtype and shape."""
    for mode in subject.modes:
        outputs = subject.outputs(mode, batch=2)
        for one in mode.applied:
            for key, array in sorted(outputs.get(one.name, {}).items()):
                spec = one.outputs.get(key)
                if spec is not None and not _fits(array, spec):
                    found = tensor_type(array.dtype.name, array.shape)
                    yield f"{mode.label} {one.name} {key}: expected {spec.type}, got {found}"


def finite_outputs(subject: Subject) -> Problems:
    """Every output of every signature is finite."""
    for mode in subject.modes:
        yield from _not_finite(mode.label, subject.outputs(mode, batch=2))


def batch_independence(subject: Subject) -> Problems:
    """At inference, what comes out for an image depends on it, and on no other image of its batch."""
    images = subject.images(batch=2)
    for mode, module in subject.running():
        if mode.training:
            continue
        together = subject.outputs(mode, batch=2)
        alone = [module.run(images[index : index + 1]) for index in range(len(images))]
        for name in sorted(together):
            values = _main(together[name])
            for index, outputs in enumerate(alone):
                found = difference(values[index : index + 1], _main(outputs[name]))
                if not found <= TOLERANCE:
                    yield f"{mode.label} {name}: image {index} alone and in a batch, expected a difference of at most {TOLERANCE:g}, got {found:g}"
            if difference(values[0], values[1]) <= TOLERANCE:
                yield f"{mode.label} {name}: the same comes out for different images"


def dropout(subject: Subject) -> Problems:
    """In training, dropout acts on what it should; nothing else is random."""
    behind = subject.promise.interface.behind_dropout
    for mode, module in subject.running():
        first, second = subject.outputs(mode, batch=2), module.run(subject.images(batch=2))
        for one in mode.applied:
            specs = {key: one.outputs[key] for key in first.get(one.name, {}) if key in one.outputs}
            for key, spec in sorted(specs.items()):
                found = difference(first[one.name][key], second[one.name][key])
                where = f"{mode.label} {one.name} {key}: run twice on the same images"
                if mode.training and spec.name in behind:
                    if found <= TOLERANCE:
                        yield f"{where}, expected dropout to act on it, got the same"
                elif not found <= TOLERANCE:
                    yield f"{where}, expected a difference of at most {TOLERANCE:g}, got {found:g}"


def image_sizes(subject: Subject) -> Problems:
    """It takes images of any size from the smallest on, or of its fixed size only."""
    height, width = subject.promise.interface.image_size
    any_size = subject.promise.images.shape[1] is None
    smallest = subject.promise.interface.min_image_size
    others = dict.fromkeys(
        [smallest, (max(height // 2 + 1, smallest[0]), width), (height, width + width // 2)]
    )
    others.pop((height, width), None)
    for mode, module in subject.running():
        for size in others:
            where = f"{mode.label} {size[0]} x {size[1]}"
            try:
                outputs = module.run(subject.images(batch=1, size=size))
            except (ValueError, tf.errors.OpError) as error:
                if any_size:
                    yield f"{where}: {running.describe(error)}"
                continue
            if not any_size:
                yield f"{where}: expected it to be refused, it was not"
            else:
                yield from _not_finite(where, outputs)


CHECKS = (
    loads,
    output_shapes,
    finite_outputs,
    batch_independence,
    dropout,
    image_sizes,
)


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest magnitude."""
    return np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)


def moved(where: str, when: str, before, after) -> Problems:
    """Variables that are not what they were before, arrays by name."""
    for name in sorted(before):
        if not running.same(before[name], after[name]):
            yield f"{where} {name}: expected it to stay when {when}, it moved"


def wrong_loss(
    where: str, promise: contract.Promise, names: list[str], kernels: list[np.ndarray], found
) -> Problems:
    """A regularization loss, in a scalar, that is not that of these kernels."""
    # Without a copy of the kernel in float64.
    squares = [np.einsum("i,i->", k.ravel(), k.ravel(), dtype=np.float64) for k in kernels]
    expected = promise.interface.weight_decay * sum(squares) / 2
    if found.shape != () or not abs(found - expected) <= TOLERANCE * expected:
        yield f"{where} {', '.join(names)}: expected the loss {expected:g}, got {found}"


def misplaced(
    where: str, averages: Mapping[str, tuple[np.ndarray, ...]], *, momentum: float
) -> Problems:
    """Moving averages that an update has not moved by (1 - momentum) * (statistic - old).

    Args:
      where: for messages.
      averages: old, statistic of the batch, and new, by name.
      momentum: of the update.
    """
    for name, (old, statistic, new) in sorted(averages.items()):
        old, statistic = old.astype(np.float64), statistic.astype(np.float64)
        scale = max(np.max(np.abs(old)), np.max(np.abs(statistic)))
        # Relative to the step, which a momentum close to 1 makes small, as far as float32 goes.
        allowed = scale * (TOLERANCE * (1 - momentum) + _ROUNDING)
        found = np.max(np.abs(new - (old + (1 - momentum) * (statistic - old))))
        if not found <= allowed:
            what = "it did not move" if np.array_equal(old, new) else f"{found:g}"
            yield (
                f"{where} {name}: with momentum {momentum:g}, expected a difference of at most "
                f"{allowed:g}, got {what}"
            )


def _main(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The output `default`, or the only one."""
    return outputs["default"] if "default" in outputs else next(iter(outputs.values()))


def _fits(array: np.ndarray, spec: TensorSpec) -> bool:
    return (
        array.dtype == spec.dtype
        and len(array.shape) == len(spec.shape)
        and all(size in (None, found) for size, found in zip(spec.shape, array.shape, strict=True))
    )


def _not_finite(where: str, outputs) -> Problems:
    for name in sorted(outputs):
        for key, value in sorted(outputs[name].items()):
            if not np.isfinite(value).all():
                bad = np.count_nonzero(~np.isfinite(value))
                yield f"{where} {name} {key}: {bad} of {value.size} values are not finite"
