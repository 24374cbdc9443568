"""Checks of the TF1 Hub format alone. Each yields what is wrong, one line a problem.

`registry` says what each one holds a module to.
"""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import variable_pb2

from slimhub.signatures.checks import bounds
from slimhub.signatures.checks.bounds import Measurement, difference
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.report import Unusual
from slimhub.signatures.checks.running import (
    logits,
    measured_loss,
    measured_update,
    moved,
    prepared_images,
    wrong_scalar,
)
from slimhub.signatures.checks.static import signatures, wrong_losses, wrong_variables
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.contract.network import MOVING_AVERAGES, RESCALING
from slimhub.signatures.graphs import by_value
from slimhub.signatures.graphs.dropout import draws_after_last_layer, wrong_dropout
from slimhub.signatures.module import hub_protos
from slimhub.signatures.module.directory import UnreadableError, differences
from slimhub.signatures.module.execution import RunningGraph
from slimhub.signatures.module.module import ancestors, collection, dependents, type_of

Problems = Iterator[str]
Findings = Iterator[str | Measurement]

_OTHER_MOMENTUM = 0.5
# Operations that are variables; the second are those of TF 1.15 and before.
_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_BATCH_NORMS = ("FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm")


def format_marker(subject: ModuleUnderTest) -> Problems:
    """Compare the bytes of the format marker."""
    if formats.FORMAT_MARKER not in subject.module.files:
        return  # `files` says so.
    expected = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3).SerializeToString()
    found = subject.module.read(formats.FORMAT_MARKER)
    if found != expected:
        yield f"expected the bytes {expected.hex(' ')}, got {found[:8].hex(' ') or 'none'}"


def tensor_names(subject: ModuleUnderTest) -> Problems:
    """Compare the names of the tensors of each signature."""
    # Users' scripts may know them; a module without is still a drop-in for all others.
    finding = str if subject.promise.exact else Unusual
    for where, signature, found in signatures(subject):
        pairs = ((signature.inputs, found.inputs), (signature.outputs, found.outputs))
        for specs, infos in pairs:
            for key in sorted(set(specs) & set(infos)):
                if infos[key].name != specs[key].name:
                    yield finding(
                        f"{where} {key}: expected {specs[key].name}, got {infos[key].name}"
                    )


def signature_feeds(subject: ModuleUnderTest) -> Problems:
    """Follow the graph from each output back to what has to be fed."""
    # A session would take what is missing from its caller; TensorFlow 2 can't load such a module.
    for label, modes, meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        behind = functools.cache(functools.partial(_behind, nodes, ops=("Placeholder",)))
        depending_on = functools.cache(lambda images, nodes=nodes: dependents(nodes, [images]))
        promised = {one.name for mode in modes for one in mode.signatures}
        for name, found in sorted(meta_graph.signature_def.items()):
            if name not in promised:
                continue
            own = {info.name.split(":")[0] for info in found.inputs.values()}
            images = _operation(found.inputs["images"].name) if "images" in found.inputs else ""
            for key, info in sorted(found.outputs.items()):
                for placeholder in sorted(set(behind(info.name)) - own):
                    yield f"{label} {name} {key}: needs {placeholder}, which is none of its inputs"
                if info.name.split(":")[0] not in depending_on(images):
                    yield f"{label} {name} {key}: does not depend on {images}"


def dropout(subject: ModuleUnderTest) -> Problems:
    """Find where random numbers enter each graph."""
    random = subject.promise.network.random_in_training
    for label, [mode], meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        # Of the promised outputs: name in the module, and whether dropout acts on it.
        outputs = {
            meta_graph.signature_def[signature.name].outputs[key].name: spec.name in random
            for signature in mode.signatures
            if signature.name in meta_graph.signature_def
            for key, spec in signature.outputs.items()
            if key in meta_graph.signature_def[signature.name].outputs
        }
        if subject.promise.level == contract.COMMON and mode.training:
            # Where dropout acts is the network's own affair, but for its output.
            for name in (name for name in outputs if not outputs[name]):
                for draw in draws_after_last_layer(nodes, name):
                    yield f"{label} {name}: expected features without dropout, {draw} enters them"
            continue
        dropped = [name for name in outputs if mode.training and outputs[name]]
        yield from wrong_dropout(
            label, nodes, outputs, dropped=dropped, exact=subject.promise.exact
        )


def supported_collections(subject: ModuleUnderTest) -> Problems:
    """Look for collections that the TF Hub library refuses."""
    supported = set(formats.SUPPORTED_COLLECTIONS)
    if not subject.promise.exact:
        supported.add(formats.ASSETS_COLLECTION)
    for label, _, meta_graph in subject.meta_graphs():
        for name in sorted(set(meta_graph.collection_def) - supported):
            yield f"{label} has the collection {name}"


def update_ops(subject: ModuleUnderTest) -> Problems:
    """Count the updates of moving averages in each graph."""
    for label, [mode], meta_graph in subject.meta_graphs():
        expected = 2 * subject.promise.network.num_batch_norms if mode.training else 0
        found = len(set(collection(meta_graph, "update_ops").node_list.value))
        # One operation may make several updates: `moving-averages` finds those that are missing.
        is_right = found == expected if subject.promise.exact else bool(found) <= mode.training
        if not is_right:
            yield f"{label}: expected {expected}, got {found}"


def regularization_losses(subject: ModuleUnderTest) -> Problems:
    """Follow each loss back to its kernel."""
    expected = subject.promise.network.regularized
    for label, _, meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        losses = set(collection(meta_graph, "regularization_losses").node_list.value)
        behind = {loss: _behind(nodes, loss, _VARIABLES) for loss in sorted(losses)}
        yield from wrong_losses(label, behind, expected)
        if subject.promise.exact:
            for loss in behind:
                if not _behind(nodes, loss, ("L2Loss",)):
                    yield f"{label} {loss}: expected an L2 loss"


def loss_values(subject: ModuleUnderTest) -> Findings:
    """Compute each loss from its kernel on disk, and compare."""
    for mode in subject.modes:
        graph = subject.run_graph(mode)
        nodes = {node.name: node for node in graph.meta_graph.graph_def.node}
        losses = graph.collection("regularization_losses")
        if subject.promise.level == contract.COMMON:
            for loss, found in zip(losses, graph.session.run(losses), strict=True):
                yield from wrong_scalar(f"{mode.label} {loss.name}", found)
            continue
        for loss, found in zip(losses, graph.session.run(losses), strict=True):
            names = _behind(nodes, loss.name, _VARIABLES)
            kernels = [subject.module.read_variable(name) for name in names]
            yield from measured_loss(mode.label, subject.promise, names, kernels, found)


def attachment(subject: ModuleUnderTest) -> Problems:
    """Compare the attachments of each graph."""
    size = subject.promise.image_module_info
    if (
        subject.promise.level == contract.COMMON
        and not size
        and None in subject.promise.images.shape[1:]
    ):
        yield "no image size is attached, and the images may have any: expected one of these"
    expected = [] if size is None else [(hub_protos.IMAGE_MODULE_INFO, size)]
    for label, _, meta_graph in subject.meta_graphs():
        serialized = collection(meta_graph, formats.ATTACHMENTS).bytes_list.value
        try:
            found = [_attachment(value) for value in serialized]
        except message.DecodeError as error:
            yield f"{label}: can't be parsed: {error}"
        else:
            if found != expected and (subject.promise.exact or not set(expected) <= set(found)):
                yield f"{label}: expected {expected}, got {found}"


def variables(subject: ModuleUnderTest) -> Problems:
    """Compare the variables on disk, those of each graph, and those of its collections."""
    network, on_disk = subject.promise.network, subject.module.variables
    yield from wrong_variables(subject.promise, on_disk)
    if not subject.promise.exact:
        yield from _wrong_collections(subject)
        return
    for label, _, meta_graph in subject.meta_graphs():
        handles = {
            node.name: type_of(node.attr["dtype"].type, node.attr["shape"].shape)
            for node in meta_graph.graph_def.node
            if node.op == "VarHandleOp"
        }
        yield from differences(f"variable in {label}", set(on_disk), set(handles))
        for name in sorted(set(on_disk) & set(handles)):
            if handles[name] != on_disk[name]:
                yield f"{label} {name}: on disk {on_disk[name]}, in the graph {handles[name]}"
        counts = {
            "variables": len(network.variables),
            "model_variables": len(network.variables),
            "trainable_variables": len(network.trainable),
        }
        for kind, expected in counts.items():
            found = _listed(meta_graph, kind)
            if len(found) != expected:
                yield f"{label} {kind}: expected {expected}, got {len(found)}"
            for name in sorted(set(found) - set(handles)):
                yield f"{label} {kind}: {name} is not in the graph"
            for name, trainable in sorted(found.items()):
                average = name.endswith(MOVING_AVERAGES)
                if average and (trainable or kind == "trainable_variables"):
                    yield f"{label} {kind}: {name} is a moving average, and trainable"
                if not average and not trainable:
                    yield f"{label} {kind}: {name} is a weight, and not trainable"


def attributes(subject: ModuleUnderTest) -> Problems:
    """Look for attributes and functions that TF 1.15 does not know."""
    for label, _, meta_graph in subject.meta_graphs():
        found = collections.Counter(
            f"{key} at operations {node.op}"
            for node in meta_graph.graph_def.node
            for key in node.attr
            if key not in formats.ATTRIBUTES and not key.startswith("_")
        )
        for attribute in sorted(found):
            yield f"{label} has {found[attribute]} of the attribute {attribute}"
        if meta_graph.graph_def.library.function:
            yield f"{label} has a library of functions"


def image_range(subject: ModuleUnderTest) -> Findings:
    """Run the rescaling, and look for operations that read images before it."""
    if not subject.promise.exact:
        yield from prepared_images(subject)
        return
    network = subject.promise.network
    scale, offsets = network.input_scale, np.array(network.input_offsets, np.float32)
    images = subject.images(batch=1)
    for mode in subject.modes:
        graph = subject.run_graph(mode)
        try:
            source = graph.graph.get_tensor_by_name(subject.promise.images.name)
            first, last = map(graph.graph.get_operation_by_name, RESCALING)
        except KeyError as error:
            yield f"{mode.label}: {error.args[0]}"
            continue
        rescaled = graph.session.run(last.outputs[0], {source: images})
        yield bounds.RESCALING.measure(
            f"{mode.label} {network.rescaling}", difference(rescaled, scale * images - offsets)
        )
        for tensor, only in ((source, first), (first.outputs[0], last)):
            readers = [op.name for op in tensor.consumers() if op != only]
            if readers:
                yield f"{mode.label} {tensor.name}: read without rescaling, by {', '.join(readers)}"
        for reader in last.outputs[0].consumers():
            if reader.type not in formats.FIRST_OPERATIONS:
                yield f"{mode.label} {last.name}: expected a convolution to read it, got {reader.name}"


def moving_averages(subject: ModuleUnderTest) -> Findings:
    """Run the outputs and then the updates, and compare all variables before and after."""
    images = subject.images(batch=2)
    for mode in subject.modes:
        graph = subject.run_graph(mode)
        graph.run(images)
        variables = {variable.op.name: variable for variable in graph.collection("variables")}
        # Not with what the session held a moment ago: other checks ran it before.
        for on_disk in subject.module.portions(variables):
            for name in graph.differing(on_disk, variables):
                yield f"{mode.label} {name}: expected it to stay when outputs were run, it moved"
        if subject.promise.level == contract.COMMON and mode.training:
            yield from _moved_weights(mode.label, graph, images)
        if not mode.training or subject.promise.momentum is None:
            continue
        update = _update(graph, images)
        yield from _wrong_update(mode.label, update, momentum=subject.promise.momentum)
        unknown = {
            name: update.before[name].shape
            for name in update.before.keys() - update.statistics.keys()
            if name.endswith(MOVING_AVERAGES)
        }
        if subject.promise.momentum_input is not None:
            update = _update(graph, images, momentum=_OTHER_MOMENTUM)
            yield from _wrong_update(mode.label, update, momentum=_OTHER_MOMENTUM)
        for name in sorted(unknown) if subject.promise.exact else ():
            scope = name.rpartition("/")[0]
            yield f"{mode.label} {name}: no batch norm with {scope}/beta uses the statistics of the batch"
        if unknown and not subject.promise.exact:
            yield from _wrong_momentum(mode.label, graph, images, unknown, subject.promise.momentum)


CHECKS = {
    "format-marker": format_marker,
    "tensor-names": tensor_names,
    "signature-feeds": signature_feeds,
    "supported-collections": supported_collections,
    "update-ops": update_ops,
    "attachment": attachment,
    "attributes": attributes,
    "variables": variables,
    "dropout": dropout,
    "regularization-losses": regularization_losses,
    "loss-values": loss_values,
    "image-range": image_range,
    "logits": logits,
    "moving-averages": moving_averages,
}


def _operation(tensor: str) -> str:
    return tensor.split(":")[0]


def _behind(nodes, tensor: str, ops: Sequence[str]) -> list[str]:
    """Return the names of all operations of some types that a tensor depends on, sorted."""
    return sorted(name for name in ancestors(nodes, tensor) if nodes[name].op in ops)


def _wrong_collections(subject: ModuleUnderTest) -> Problems:
    """Look for variables of the network that a graph's collections lack, and for others that train."""
    if subject.promise.level == contract.COMMON:
        return  # `loads` finds those that are not on disk.
    expected = {
        "variables": set(subject.promise.network.variables),
        "trainable_variables": set(subject.promise.network.trainable),
    }
    for label, _, meta_graph in subject.meta_graphs():
        for kind, names in expected.items():
            found = set(_listed(meta_graph, kind))
            if kind == "variables":
                found &= names
            yield from differences(f"{label} {kind}", names, found)


def _listed(meta_graph, kind: str) -> dict[str, bool]:
    """Return the names in a collection of variables, and whether each is trainable. Raise `UnreadableError`."""
    try:
        protos = [
            variable_pb2.VariableDef.FromString(value)
            for value in collection(meta_graph, kind).bytes_list.value
        ]
    except message.DecodeError as error:
        raise UnreadableError(f"{kind}: can't be parsed: {error}") from error
    return {proto.variable_name.removesuffix(":0"): proto.trainable for proto in protos}


def _attachment(serialized: bytes):
    attached = hub_protos.ModuleAttachment.FromString(serialized)
    size = hub_protos.ImageModuleInfo.FromString(attached.value).default_image_size
    return attached.key, (size.height, size.width)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Update:
    """All variables before and after an update, and the statistics of the batch, arrays by name."""

    before: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    after: dict[str, np.ndarray]


def _update(graph: RunningGraph, images: np.ndarray, *, momentum: float | None = None) -> _Update:
    """Update the moving averages; without a momentum, by the default one."""
    before = _variables(graph)
    fetches = dict(_statistics(graph.graph)), graph.collection("update_ops")
    statistics, _ = graph.session.run(fetches, graph.feeds(images, momentum=momentum))
    return _Update(before=before, statistics=statistics, after=_variables(graph))


def _wrong_update(label: str, update: _Update, *, momentum: float) -> Findings:
    """Compare an update of the averages with the statistics of the batch."""
    averages = {name for name in update.before if name.endswith(MOVING_AVERAGES)}
    weights = {name: update.before[name] for name in update.before.keys() - averages}
    yield from moved(label, "averages were updated", weights, update.after)
    updated = {
        name: (update.before[name], update.statistics[name], update.after[name])
        for name in averages & update.statistics.keys()
    }
    yield from measured_update(label, updated, momentum=momentum)


def _moved_weights(label: str, graph: RunningGraph, images: np.ndarray) -> Problems:
    """Update the moving averages of an unknown network, and look for weights that move."""
    trainable = {variable.op.name for variable in graph.collection("trainable_variables")}
    update = _update(graph, images)
    weights = {name: update.before[name] for name in trainable & update.before.keys()}
    yield from moved(label, "averages were updated", weights, update.after)


def _wrong_momentum(
    label: str,
    graph: RunningGraph,
    images: np.ndarray,
    averages: Mapping[str, tuple[int, ...]],
    momentum: float,
) -> Problems:
    """Find the default momentum of averages whose statistics are not known, as no batch norm is fused."""
    feeds = graph.feeds(images)
    found = by_value.momentum(lambda old: graph.updated(old, feeds), averages)
    values = [] if found is None else [found.value, *(found.differing or ())]
    if not values or any(abs(value - momentum) > by_value.ROUNDING for value in values):
        yield f"{label}: expected moving averages that keep {momentum:g} of their values, got {values}"


def _statistics(graph: tf.Graph) -> Iterator[tuple[str, tf.Tensor]]:
    """Yield the statistics of the batch that batch norms use, by the averages that they go to."""
    for op in graph.get_operations():
        # One that gives averages of its own has an attribute that `attributes` refuses.
        if op.type in _BATCH_NORMS and op.get_attr("is_training"):
            beta = op.inputs[2].op
            while beta.inputs:
                beta = beta.inputs[0].op
            scope = beta.name.rpartition("/")[0]
            _, mean, unbiased_variance, *_ = op.outputs
            yield f"{scope}/moving_mean", mean
            yield f"{scope}/moving_variance", unbiased_variance


def _variables(graph: RunningGraph) -> dict[str, np.ndarray]:
    variables = graph.collection("variables")
    return graph.session.run({variable.op.name: variable for variable in variables})
