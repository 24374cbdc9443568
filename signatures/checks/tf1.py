"""Checks of the TF1 Hub format alone. Each yields what is wrong, one line a problem.

`registry` says what each one holds a module to.
"""

import collections
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import variable_pb2

from slimhub.signatures.checks import bounds
from slimhub.signatures.checks.bounds import Measurement, difference
from slimhub.signatures.checks.dropout import wrong_dropout
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.running import measured_loss, measured_update, moved
from slimhub.signatures.checks.static import signatures, wrong_variables
from slimhub.signatures.contract import formats
from slimhub.signatures.contract.network import MOVING_AVERAGES, RESCALING
from slimhub.signatures.module import hub_protos
from slimhub.signatures.module.directory import differences
from slimhub.signatures.module.execution import RunningGraph
from slimhub.signatures.module.module import ancestors, collection, dependents, type_of

Problems = Iterator[str]
Findings = Iterator[str | Measurement]

_OTHER_MOMENTUM = 0.5


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
    for where, signature, found in signatures(subject):
        pairs = ((signature.inputs, found.inputs), (signature.outputs, found.outputs))
        for specs, infos in pairs:
            for key in sorted(set(specs) & set(infos)):
                if infos[key].name != specs[key].name:
                    yield f"{where} {key}: expected {specs[key].name}, got {infos[key].name}"


def signature_feeds(subject: ModuleUnderTest) -> Problems:
    """Follow the graph from each output back to what has to be fed."""
    # A session would take what is missing from its caller; TensorFlow 2 can't load such a module.
    images = subject.promise.images.name.removesuffix(":0")
    for label, _, meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        behind = functools.cache(functools.partial(_behind, nodes, op="Placeholder"))
        depending = dependents(nodes, [images])
        for name, found in sorted(meta_graph.signature_def.items()):
            own = {info.name.split(":")[0] for info in found.inputs.values()}
            for key, info in sorted(found.outputs.items()):
                for placeholder in sorted(set(behind(info.name)) - own):
                    yield f"{label} {name} {key}: needs {placeholder}, which is none of its inputs"
                if info.name.split(":")[0] not in depending:
                    yield f"{label} {name} {key}: does not depend on {images}"


def dropout(subject: ModuleUnderTest) -> Problems:
    """Find where random numbers enter each graph."""
    for label, [mode], meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        outputs = {
            info.name
            for signature in meta_graph.signature_def.values()
            for info in signature.outputs.values()
        }
        dropped = subject.promise.network.random_in_training if mode.training else ()
        yield from wrong_dropout(label, nodes, outputs, dropped=dropped)


def supported_collections(subject: ModuleUnderTest) -> Problems:
    """Look for collections that the TF Hub library refuses."""
    for label, _, meta_graph in subject.meta_graphs():
        for name in sorted(set(meta_graph.collection_def) - formats.SUPPORTED_COLLECTIONS):
            yield f"{label} has the collection {name}"


def update_ops(subject: ModuleUnderTest) -> Problems:
    """Count the updates of moving averages in each graph."""
    for label, [mode], meta_graph in subject.meta_graphs():
        expected = 2 * subject.promise.network.num_batch_norms if mode.training else 0
        found = len(set(collection(meta_graph, "update_ops").node_list.value))
        if found != expected:
            yield f"{label}: expected {expected}, got {found}"


def regularization_losses(subject: ModuleUnderTest) -> Problems:
    """Follow each loss back to its kernel."""
    expected = subject.promise.network.regularized
    for label, _, meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        losses = set(collection(meta_graph, "regularization_losses").node_list.value)
        if len(losses) != len(expected):
            yield f"{label}: expected {len(expected)}, got {len(losses)}"
        kernels: dict[str, str] = {}
        for loss in sorted(losses):
            names = _behind(nodes, loss, "VarHandleOp")
            if len(names) != 1 or not _behind(nodes, loss, "L2Loss"):
                yield f"{label} {loss}: expected an L2 loss of one variable, got one of {', '.join(names) or 'none'}"
            elif names[0] not in expected:
                yield f"{label} {loss}: expected the loss of a kernel, got that of {names[0]}"
            elif kernels.setdefault(names[0], loss) != loss:
                yield f"{label} {loss}: {names[0]} has the loss {kernels[names[0]]} already"


def loss_values(subject: ModuleUnderTest) -> Findings:
    """Compute each loss from its kernel on disk, and compare."""
    for mode in subject.modes:
        graph = subject.run_graph(mode)
        nodes = {node.name: node for node in graph.meta_graph.graph_def.node}
        losses = graph.collection("regularization_losses")
        for loss, found in zip(losses, graph.session.run(losses), strict=True):
            names = _behind(nodes, loss.name, "VarHandleOp")
            kernels = [subject.module.read_variable(name) for name in names]
            yield from measured_loss(mode.label, subject.promise, names, kernels, found)


def attachment(subject: ModuleUnderTest) -> Problems:
    """Compare the attachments of each graph."""
    size = subject.promise.image_module_info
    expected = [] if size is None else [(hub_protos.IMAGE_MODULE_INFO, size)]
    for label, _, meta_graph in subject.meta_graphs():
        serialized = collection(meta_graph, formats.ATTACHMENTS).bytes_list.value
        try:
            found = [_attachment(value) for value in serialized]
        except message.DecodeError as error:
            yield f"{label}: can't be parsed: {error}"
        else:
            if found != expected:
                yield f"{label}: expected {expected}, got {found}"


def variables(subject: ModuleUnderTest) -> Problems:
    """Compare the variables on disk, those of each graph, and those of its collections."""
    network, on_disk = subject.promise.network, subject.module.variables
    yield from wrong_variables(network, on_disk)
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
            values = collection(meta_graph, kind).bytes_list.value
            try:
                protos = [variable_pb2.VariableDef.FromString(value) for value in values]
            except message.DecodeError as error:
                yield f"{label} {kind}: can't be parsed: {error}"
                continue
            found = {proto.variable_name.removesuffix(":0"): proto.trainable for proto in protos}
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
        if not mode.training or subject.promise.momentum is None:
            continue
        source = graph.graph.get_tensor_by_name(subject.promise.images.name)
        yield from _updates(mode.label, graph, {source: images}, momentum=subject.promise.momentum)
        if subject.promise.momentum_input is not None:
            momentum = graph.graph.get_tensor_by_name(subject.promise.momentum_input.name)
            feeds = {source: images, momentum: _OTHER_MOMENTUM}
            yield from _updates(mode.label, graph, feeds, momentum=_OTHER_MOMENTUM)


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
    "moving-averages": moving_averages,
}


def _behind(nodes, tensor: str, op: str) -> list[str]:
    """Return the names of all operations of a type that a tensor depends on, sorted."""
    return sorted(name for name in ancestors(nodes, tensor) if nodes[name].op == op)


def _attachment(serialized: bytes):
    attached = hub_protos.ModuleAttachment.FromString(serialized)
    size = hub_protos.ImageModuleInfo.FromString(attached.value).default_image_size
    return attached.key, (size.height, size.width)


def _updates(label: str, graph: RunningGraph, feeds, *, momentum: float) -> Findings:
    before = _variables(graph)
    fetches = dict(_statistics(graph.graph)), graph.collection("update_ops")
    statistics, _ = graph.session.run(fetches, feeds)
    after = _variables(graph)
    averages = {name for name in before if name.endswith(MOVING_AVERAGES)}
    weights = {name: before[name] for name in before.keys() - averages}
    yield from moved(label, "averages were updated", weights, after)
    for name in sorted(averages - statistics.keys()):
        scope = name.rpartition("/")[0]
        yield f"{label} {name}: no batch norm with {scope}/beta uses the statistics of the batch"
    updated = {
        name: (before[name], statistics[name], after[name]) for name in averages & statistics.keys()
    }
    yield from measured_update(label, updated, momentum=momentum)


def _statistics(graph: tf.Graph) -> Iterator[tuple[str, tf.Tensor]]:
    """Yield the statistics of the batch that batch norms use, by the averages that they go to."""
    for op in graph.get_operations():
        # One that gives averages of its own has an attribute that `attributes` refuses.
        if op.type == "FusedBatchNormV3" and op.get_attr("is_training"):
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
