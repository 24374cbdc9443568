"""Checks that run a module. Each yields what is wrong, one line a problem.

Images come from a fixed seed; figures are relative to the largest magnitude.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from slimhub.signatures import contract, running
from slimhub.signatures.subject import Subject

Problems = Iterator[str]

# For what must be equal but for the order of sums in float32.
_TOLERANCE = 1e-5
_OTHER_MOMENTUM = 0.5


def loads(subject: Subject) -> Problems:
    """Every meta graph can be loaded into a session, with its variables."""
    try:
        list(subject.running())
    except Exception as error:  # Whatever a broken graph makes TensorFlow raise is the finding.
        yield f"{type(error).__name__}: {error}"


def finite_outputs(subject: Subject) -> Problems:
    """Every output of every signature is finite."""
    images = _images(subject, batch=2)
    for label, _, graph in subject.running():
        yield from _not_finite(label, graph.run(images))


def batch_independence(subject: Subject) -> Problems:
    """At inference, an image's features do not depend on the other images of its batch."""
    images = _images(subject, batch=3)
    for label, _, graph in _inference(subject):
        together = _features(graph, images)
        for index in range(len(images)):
            alone = _features(graph, images[index : index + 1])
            found = _difference(together[index : index + 1], alone)
            if not found <= _TOLERANCE:
                yield f"{label} image {index}: expected a difference of at most {_TOLERANCE:g}, got {found:g}"


def image_range(subject: Subject) -> Problems:
    """Images in [0, 1] are rescaled in the graph to what the network was trained on."""
    scale, offset = subject.promise.interface.rescale
    images = _images(subject, batch=1)
    for label, _, graph in subject.running():
        try:
            source = graph.graph.get_tensor_by_name(subject.promise.images.name)
            first, last = map(graph.graph.get_operation_by_name, contract.RESCALING)
        except KeyError as error:
            yield f"{label}: {error.args[0]}"
            continue
        rescaled = graph.session.run(last.outputs[0], {source: images})
        found = _difference(rescaled, scale * images - offset)
        if not found <= _TOLERANCE:
            yield f"{label}: expected {scale:g} * images - {offset:g}, got a difference of {found:g}"
        readers = [op.name for op in source.consumers() if op != first]
        if readers:
            yield f"{label}: images are read without rescaling, by {', '.join(readers)}"


def image_sizes(subject: Subject) -> Problems:
    """It takes images of any size from the smallest on, or of its fixed size only."""
    height, width = subject.promise.interface.image_size
    any_size = subject.promise.images.shape[1] is None
    others = [
        subject.promise.interface.min_image_size,
        (height // 2 + 1, width),
        (height * 2, width + width // 2),
    ]
    for label, _, graph in _inference(subject):
        for size in others:
            where = f"{label} {size[0]} x {size[1]}"
            try:
                outputs = graph.run(_images(subject, batch=1, size=size))
            except (ValueError, tf.errors.OpError) as error:
                if any_size:
                    yield f"{where}: {error}"
                continue
            if not any_size:
                yield f"{where}: expected it to be refused, it was not"
            else:
                yield from _not_finite(where, outputs)


def moving_averages(subject: Subject) -> Problems:
    """Moving averages move under `train`, by (1 - momentum) * (batch statistic - old), and not at inference."""
    images = _images(subject, batch=2)
    for label, tag_set, graph in subject.running():
        if not tag_set.training:
            before = _variables(graph)
            graph.run(images)
            after = _variables(graph)
            for name in sorted(before):
                if not np.array_equal(before[name], after[name]):
                    yield f"{label} {name}: expected it to stay, it moved"
            continue
        source = graph.graph.get_tensor_by_name(subject.promise.images.name)
        yield from _updates(label, graph, {source: images}, momentum=subject.promise.momentum)
        if subject.promise.momentum_input is not None:
            momentum = graph.graph.get_tensor_by_name(subject.promise.momentum_input.name)
            feeds = {source: images, momentum: _OTHER_MOMENTUM}
            yield from _updates(label, graph, feeds, momentum=_OTHER_MOMENTUM)


CHECKS = (
    loads,
    finite_outputs,
    batch_independence,
    image_range,
    image_sizes,
    moving_averages,
)


def _not_finite(where: str, outputs) -> Problems:
    for name in sorted(outputs):
        for key, value in sorted(outputs[name].items()):
            if not np.isfinite(value).all():
                bad = np.count_nonzero(~np.isfinite(value))
                yield f"{where} {name} {key}: {bad} of {value.size} values are not finite"


def _updates(label: str, graph: running.RunningGraph, feeds, *, momentum: float) -> Problems:
    updates = {_updated(op): _batch_norm(op) for op in graph.collection("update_ops")}
    before = _variables(graph)
    averages = {name for name in before if name.endswith(("/moving_mean", "/moving_variance"))}
    for name in sorted(averages - set(updates)):
        yield f"{label} {name}: no operation updates it"
    inputs = {op.name: op.inputs[0] for op in updates.values() if op is not None}
    values, _ = graph.session.run((inputs, graph.collection("update_ops")), feeds)
    after = _variables(graph)
    for name, batch_norm in sorted(updates.items(), key=lambda item: item[0]):
        if batch_norm is None or name not in averages:
            yield f"{label} {name}: it is updated, but from no batch norm"
            continue
        old = before[name].astype(np.float64)
        statistic = _statistic(name, values[batch_norm.name])
        expected = old + (1 - momentum) * (statistic - old)
        found = _difference(after[name], expected)
        if not found <= _TOLERANCE:
            yield (
                f"{label} {name}: with momentum {momentum:g}, expected a difference of at most "
                f"{_TOLERANCE:g}, got {found:g}"
            )


def _updated(op: tf.Operation) -> str:
    """Name of the variable that an update operation assigns."""
    return op.inputs[0].op.name


def _batch_norm(op: tf.Operation) -> tf.Operation | None:
    """The batch norm, in training, whose statistic an update operation gets."""
    seen, waiting = set(), [op]
    while waiting:
        op = waiting.pop()
        if op.type == "FusedBatchNormV3" and op.get_attr("is_training"):
            return op
        if op.name not in seen:
            seen.add(op.name)
            waiting.extend(tensor.op for tensor in op.inputs)
    return None


def _statistic(name: str, values: np.ndarray) -> np.ndarray:
    """Mean, or unbiased variance as the fused batch norm has it, over batch and positions."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    if name.endswith("/moving_mean"):
        return rows.mean(axis=0)
    return rows.var(axis=0, ddof=min(1, len(rows) - 1))


def _variables(graph: running.RunningGraph) -> dict[str, np.ndarray]:
    variables = graph.collection("variables")
    return graph.session.run({variable.op.name: variable for variable in variables})


def _inference(subject: Subject):
    return (entry for entry in subject.running() if not entry[1].training)


def _features(graph: running.RunningGraph, images: np.ndarray) -> np.ndarray:
    return graph.run(images)["image_feature_vector"]["default"]


def _images(subject: Subject, *, batch: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """Uniform noise in [0, 1], float32 `[batch, height, width, 3]`; the default size if none is given."""
    size = size or subject.promise.interface.image_size
    return np.random.RandomState(0).uniform(size=(batch, *size, 3)).astype(np.float32)


def _difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest magnitude."""
    return np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)
