"""Checks that run a module, of any format. Each yields what is wrong, one line a problem, and measurements.

`registry` says what each one holds a module to. Images come from a fixed seed.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from slimhub.signatures.checks import bounds
from slimhub.signatures.checks.bounds import Measurement, difference
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.report import NotApplicableError
from slimhub.signatures.contract import contract
from slimhub.signatures.contract.network import TensorSpec, tensor_type
from slimhub.signatures.module import execution

Problems = Iterator[str]
Findings = Iterator[str | Measurement]


def loads(subject: ModuleUnderTest) -> Problems:
    """Load the module in each mode."""
    for mode in subject.modes:
        try:
            subject.run(mode)
        except Exception as error:  # Whatever a broken graph makes TensorFlow raise is the finding.
            yield f"{mode.label}: {execution.describe(error)}"


def output_shapes(subject: ModuleUnderTest) -> Problems:
    """Compare dtype and shape of the arrays of every output."""
    for mode in subject.modes:
        outputs = subject.outputs(mode, batch=2)
        for one in mode.applied:
            for key, array in sorted(outputs.get(one.name, {}).items()):
                spec = one.outputs.get(key)
                if spec is not None and not _fits(array, spec):
                    found = tensor_type(array.dtype.name, array.shape)
                    yield f"{mode.label} {one.name} {key}: expected {spec.type}, got {found}"


def finite_outputs(subject: ModuleUnderTest) -> Problems:
    """Look for values that are not finite in every output."""
    for mode in subject.modes:
        yield from _not_finite(mode.label, subject.outputs(mode, batch=2))


def batch_independence(subject: ModuleUnderTest) -> Findings:
    """Compare what comes out for an image beside two other images, at inference."""
    images = subject.images(batch=3)
    for mode in subject.modes:
        module = subject.run(mode)
        if mode.training:
            continue
        # As many images, at the same place: there is nothing that could be summed in another order.
        beside, beside_other = module.run(images[[0, 1]]), module.run(images[[0, 2]])
        for name in sorted(beside):
            key = _main(beside[name])
            yield bounds.SUM_ORDER.measure(
                f"{mode.label} {name}: an image beside two others",
                difference(beside_other[name][key][0], beside[name][key][0]),
            )


def image_sizes(subject: ModuleUnderTest) -> Problems:
    """Run the module on images of other sizes."""
    height, width = subject.promise.network.image_size
    any_size = subject.promise.any_image_size
    smallest = subject.promise.network.min_image_size
    others = dict.fromkeys(
        [smallest, (max(height // 2 + 1, smallest[0]), width), (height, width + width // 2)]
    )
    others.pop((height, width), None)
    for mode in subject.modes:
        module = subject.run(mode)
        for size in others:
            where = f"{mode.label} {size[0]} x {size[1]}"
            try:
                outputs = module.run(subject.images(batch=1, size=size))
            except (ValueError, tf.errors.OpError) as error:
                if any_size:
                    yield f"{where}: {execution.describe(error)}"
                continue
            if not any_size:
                yield f"{where}: expected it to be refused, it was not"
            else:
                yield from _not_finite(where, outputs)


def prepared_images(subject: ModuleUnderTest) -> Findings:
    """Run inference up to what enters the first layers, and compare it with the rescaled images."""
    network, images = subject.promise.network, subject.images(batch=1)
    expected = network.input_scale * images - np.array(network.input_offsets, np.float32)
    for mode in subject.modes:
        with subject.flat_graph(mode) as graph:
            tensors = graph.prepared_images()
            if not tensors:
                yield f"{mode.label}: no layer reads the images"
            for tensor in tensors:
                yield bounds.RESCALING.measure(
                    f"{mode.label} {tensor}, which enters a first layer, beside {network.rescaling}",
                    difference(graph.run(tensor, images), expected),
                )


def logits(subject: ModuleUnderTest) -> Problems:
    """Look for operations that make probabilities, and for outputs that are some."""
    if subject.promise.task != "classification":
        raise NotApplicableError("the module does not classify")
    for mode in subject.modes:
        if mode.training:
            continue
        with subject.flat_graph(mode) as graph:
            for operation in graph.probabilities_behind(graph.outputs["default"]):
                yield f"{mode.label}: expected logits, got what {operation} gives"
        outputs = subject.outputs(mode, batch=2)
        for one in mode.applied:
            for key, spec in one.outputs.items():
                found = outputs.get(one.name, {}).get(key)
                is_logits = found is not None and spec == subject.promise.network.logits
                if is_logits and _are_probabilities(found):
                    yield f"{mode.label} {one.name} {key}: expected logits, got numbers that sum up to 1"


CHECKS = {
    "loads": loads,
    "output-shapes": output_shapes,
    "finite-outputs": finite_outputs,
    "batch-independence": batch_independence,
    "image-sizes": image_sizes,
}


def moved(where: str, when: str, before, after) -> Problems:
    """Name the variables that are not what they were before.

    Args:
      where, when: for messages.
      before, after: arrays by name.
    """
    for name in sorted(before):
        if not execution.same(before[name], after[name]):
            yield f"{where} {name}: expected it to stay when {when}, it moved"


def wrong_scalar(where: str, found) -> Problems:
    """Look for a loss that is no finite scalar."""
    if np.shape(found) != () or not np.isfinite(found):
        yield f"{where}: expected a finite scalar, got {found}"


def measured_loss(
    where: str, promise: contract.Contract, names: list[str], kernels: list[np.ndarray], found
) -> Findings:
    """Compare a regularization loss with the weight decay times half the squared norm of these kernels."""
    where = f"{where} {', '.join(names)}"
    # Without a copy of the kernel in float64.
    squares = [np.einsum("i,i->", k.ravel(), k.ravel(), dtype=np.float64) for k in kernels]
    expected = promise.network.weight_decay * sum(squares) / 2
    if found.shape != ():
        yield f"{where}: expected the loss to be a scalar, got the shape {found.shape}"
    elif expected < bounds.SMALLEST_LOSS and abs(found) < bounds.SMALLEST_LOSS:
        return
    elif not (expected > bounds.LARGEST_LOSS and np.isinf(found)):
        yield bounds.LOSS.measure(f"{where}: the loss", difference(found, np.array(expected)))


def measured_update(
    where: str,
    averages: Mapping[str, tuple[np.ndarray, ...]],
    *,
    momentum: float,
) -> Findings:
    """Compare moving averages with what an update by (1 - momentum) * (statistic - old) makes of them.

    Args:
      where: for messages.
      averages: old, statistic of the batch, and new, by name.
      momentum: of the update.
    """
    for name, (old, statistic, new) in sorted(averages.items()):
        old, statistic = old.astype(np.float64), statistic.astype(np.float64)
        scale = max(np.max(np.abs(old)), np.max(np.abs(statistic))) or 1
        figure = np.max(np.abs(new - (old + (1 - momentum) * (statistic - old)))) / scale
        how = ", which did not move" if np.array_equal(old, new) else ""
        yield bounds.UPDATE.measure(f"{where} {name}{how}, with momentum {momentum:g}", figure)


def _main(outputs: Mapping[str, np.ndarray]) -> str:
    """Return the key `default`, or the only one."""
    return "default" if "default" in outputs else next(iter(outputs))


def _are_probabilities(logits: np.ndarray) -> bool:
    """Return whether the rows sum up to 1, though not all the same: of two classes, logits may do so, too."""
    sums = logits.sum(axis=-1, dtype=np.float64)
    # A sum of n roundings; larger numbers than 1 can't be among them.
    close = np.abs(sums - 1) <= logits.shape[-1] * np.finfo(np.float32).eps
    different = not np.array_equal(logits[0], logits[-1])
    return bool(logits.shape[-1] > 2 and np.all(logits >= 0) and close.all() and different)


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
