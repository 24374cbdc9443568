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
# Of a float32 that was rounded a few times.
_ROUNDING = 4 * np.finfo(np.float32).eps
_OTHER_MOMENTUM = 0.5


def loads(subject: Subject) -> Problems:
    """Every promised meta graph can be loaded into a session, with its variables."""
    for tag_set in subject.promise.tag_sets:
        try:
            subject.load(tag_set.tags)
        except Exception as error:  # Whatever a broken graph makes TensorFlow raise is the finding.
            yield f"{tag_set.label}: {running.describe(error)}"


def output_shapes(subject: Subject) -> Problems:
    """The arrays of every output have the promised dtype and shape."""
    images = _images(subject, batch=2)
    for label, _, graph in subject.running():
        outputs = graph.run(images)
        for signature in subject.promise.signatures:
            for key, array in sorted(outputs.get(signature.name, {}).items()):
                spec = signature.outputs.get(key)
                if spec is not None and not _fits(array, spec):
                    found = contract.tensor_type(array.dtype.name, array.shape)
                    yield f"{label} {signature.name} {key}: expected {spec.type}, got {found}"


def finite_outputs(subject: Subject) -> Problems:
    """Every output of every signature is finite."""
    images = _images(subject, batch=2)
    for label, _, graph in subject.running():
        yield from _not_finite(label, graph.run(images))


def batch_independence(subject: Subject) -> Problems:
    """At inference, what comes out for an image depends on it, and on no other image of its batch."""
    images = _images(subject, batch=3)
    for label, _, graph in _inference(subject):
        together = graph.run(images)
        alone = [graph.run(images[index : index + 1]) for index in range(len(images))]
        for name in sorted(together):
            values = together[name]["default"]
            for index, outputs in enumerate(alone):
                found = _difference(values[index : index + 1], outputs[name]["default"])
                if not found <= _TOLERANCE:
                    yield f"{label} {name}: image {index} alone and in a batch, expected a difference of at most {_TOLERANCE:g}, got {found:g}"
            if np.array_equal(values[0], values[1]):
                yield f"{label} {name}: the same comes out for different images"


def deterministic_features(subject: Subject) -> Problems:
    """Nothing random acts on the feature vector, nor on anything at inference."""
    images = _images(subject, batch=2)
    for label, tag_set, graph in subject.running():
        first, second = graph.run(images), graph.run(images)
        names = set(first) & {"image_feature_vector"} if tag_set.training else set(first)
        for name in sorted(names):
            found = _difference(first[name]["default"], second[name]["default"])
            if not found <= _TOLERANCE:
                yield f"{label} {name}: run twice on the same images, expected a difference of at most {_TOLERANCE:g}, got {found:g}"


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
        for tensor, only in ((source, first), (first.outputs[0], last)):
            readers = [op.name for op in tensor.consumers() if op != only]
            if readers:
                yield f"{label} {tensor.name}: read without rescaling, by {', '.join(readers)}"


def image_sizes(subject: Subject) -> Problems:
    """It takes images of any size from the smallest on, or of its fixed size only."""
    height, width = subject.promise.interface.image_size
    any_size = subject.promise.images.shape[1] is None
    others = [
        subject.promise.interface.min_image_size,
        (height // 2 + 1, width),
        (height * 2, width + width // 2),
    ]
    for label, _, graph in subject.running():
        for size in others:
            where = f"{label} {size[0]} x {size[1]}"
            try:
                outputs = graph.run(_images(subject, batch=1, size=size))
            except (ValueError, tf.errors.OpError) as error:
                if any_size:
                    yield f"{where}: {running.describe(error)}"
                continue
            if not any_size:
                yield f"{where}: expected it to be refused, it was not"
            else:
                yield from _not_finite(where, outputs)


def moving_averages(subject: Subject) -> Problems:
    """Under `train`, the updates move moving averages by (1 - momentum) * (batch statistic - old); nothing else moves."""
    images = _images(subject, batch=2)
    for label, tag_set, graph in subject.running():
        graph.run(images)
        found = _variables(graph)
        # Not with what the session held a moment ago: other checks ran it before.
        on_disk = {name: subject.module.checkpoint.get_tensor(name) for name in found}
        yield from _moved(label, "outputs were run", on_disk, found)
        if not tag_set.training:
            continue
        source = graph.graph.get_tensor_by_name(subject.promise.images.name)
        yield from _updates(label, graph, {source: images}, momentum=subject.promise.momentum)
        if subject.promise.momentum_input is not None:
            momentum = graph.graph.get_tensor_by_name(subject.promise.momentum_input.name)
            feeds = {source: images, momentum: _OTHER_MOMENTUM}
            yield from _updates(label, graph, feeds, momentum=_OTHER_MOMENTUM)


CHECKS = (
    loads,
    output_shapes,
    finite_outputs,
    batch_independence,
    deterministic_features,
    image_range,
    image_sizes,
    moving_averages,
)


def _fits(array: np.ndarray, spec: contract.TensorSpec) -> bool:
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


def _updates(label: str, graph: running.RunningGraph, feeds, *, momentum: float) -> Problems:
    inputs = _batch_norms(graph.graph)
    before = _variables(graph)
    values, _ = graph.session.run((inputs, graph.collection("update_ops")), feeds)
    after = _variables(graph)
    statistics = dict(_statistics(values))
    averages = {name for name in before if name.endswith(contract.MOVING_AVERAGES)}
    weights = {name: before[name] for name in before.keys() - averages}
    yield from _moved(label, "averages were updated", weights, after)
    for name in sorted(averages):
        if name not in statistics:
            scope = name.rpartition("/")[0]
            yield f"{label} {name}: no batch norm with {scope}/beta uses the statistics of the batch"
            continue
        old = before[name].astype(np.float64)
        statistic = statistics[name]
        scale = max(np.max(np.abs(old)), np.max(np.abs(statistic)))
        # Relative to the step, which a momentum close to 1 makes small, as far as float32 goes.
        allowed = scale * (_TOLERANCE * (1 - momentum) + _ROUNDING)
        found = np.max(np.abs(after[name] - (old + (1 - momentum) * (statistic - old))))
        if not found <= allowed:
            what = "it did not move" if np.array_equal(before[name], after[name]) else f"{found:g}"
            yield (
                f"{label} {name}: with momentum {momentum:g}, expected a difference of at most "
                f"{allowed:g}, got {what}"
            )


def _moved(label: str, when: str, before, after) -> Problems:
    for name in sorted(before):
        if not np.array_equal(before[name], after[name], equal_nan=True):
            yield f"{label} {name}: expected it to stay when {when}, it moved"


def _batch_norms(graph: tf.Graph) -> dict[str, tf.Tensor]:
    """Input of each batch norm that uses the statistics of the batch, by the scope of its beta."""
    inputs = {}
    for op in graph.get_operations():
        if op.type == "FusedBatchNormV3" and op.get_attr("is_training"):
            source = op.inputs[2].op
            while source.inputs:
                source = source.inputs[0].op
            inputs[source.name.rpartition("/")[0]] = op.inputs[0]
    return inputs


def _statistics(values) -> Iterator[tuple[str, np.ndarray]]:
    """What the moving averages get: mean and, as the fused batch norm has it, unbiased variance."""
    for scope, value in values.items():
        rows = value.reshape(-1, value.shape[-1]).astype(np.float64)
        yield f"{scope}/moving_mean", rows.mean(axis=0)
        yield f"{scope}/moving_variance", rows.var(axis=0, ddof=min(1, len(rows) - 1))


def _variables(graph: running.RunningGraph) -> dict[str, np.ndarray]:
    variables = graph.collection("variables")
    return graph.session.run({variable.op.name: variable for variable in variables})


def _inference(subject: Subject):
    return (entry for entry in subject.running() if not entry[1].training)


def _images(subject: Subject, *, batch: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """Uniform noise in [0, 1], float32 `[batch, height, width, 3]`; the default size if none is given."""
    size = size or subject.promise.interface.image_size
    return np.random.RandomState(0).uniform(size=(batch, *size, 3)).astype(np.float32)


def _difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest magnitude."""
    return np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)
