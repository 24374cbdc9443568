"""Checks of the TF1 Hub format alone. Each yields what is wrong, one line a problem."""

import collections
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import variable_pb2

from slimhub.signatures import formats, hub_protos
from slimhub.signatures.directory import differences
from slimhub.signatures.graph_checks import signatures, type_of
from slimhub.signatures.interface import KERNEL, MOVING_AVERAGES, RESCALING
from slimhub.signatures.module import ancestors, collection
from slimhub.signatures.running import RunningGraph
from slimhub.signatures.subject import Subject
from slimhub.signatures.value_checks import TOLERANCE, difference, misplaced, moved, wrong_loss

Problems = Iterator[str]

_OTHER_MOMENTUM = 0.5


def format_marker(subject: Subject) -> Problems:
    """tfhub_module.pb marks the TF1 Hub format."""
    if formats.FORMAT_MARKER not in subject.module.files:
        return  # `files` says so.
    expected = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3).SerializeToString()
    found = subject.module.read(formats.FORMAT_MARKER)
    if found != expected:
        yield f"expected the bytes {expected.hex(' ')}, got {found[:8].hex(' ') or 'none'}"


def tensor_names(subject: Subject) -> Problems:
    """Tensors have the names that scripts of users know."""
    for where, signature, found in signatures(subject):
        pairs = ((signature.inputs, found.inputs), (signature.outputs, found.outputs))
        for specs, infos in pairs:
            for key in sorted(set(specs) & set(infos)):
                if infos[key].name != specs[key].name:
                    yield f"{where} {key}: expected {specs[key].name}, got {infos[key].name}"


def signature_feeds(subject: Subject) -> Problems:
    """No output of a signature needs anything to be fed but that signature's inputs."""
    # A session would take what is missing from its caller; TensorFlow 2 can't load such a module.
    for label, _, meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        behind = functools.cache(functools.partial(_placeholders, nodes))
        for name, found in sorted(meta_graph.signature_def.items()):
            own = {info.name.split(":")[0] for info in found.inputs.values()}
            for key, info in sorted(found.outputs.items()):
                for placeholder in sorted(behind(info.name) - own):
                    yield f"{label} {name} {key}: needs {placeholder}, which is none of its inputs"


def supported_collections(subject: Subject) -> Problems:
    """There are only collections that the TF Hub library accepts."""
    for label, _, meta_graph in subject.meta_graphs():
        for name in sorted(set(meta_graph.collection_def) - formats.SUPPORTED_COLLECTIONS):
            yield f"{label} has the collection {name}"


def update_ops(subject: Subject) -> Problems:
    """Moving averages are updated under `train` only, by two operations a batch norm."""
    for label, [mode], meta_graph in subject.meta_graphs():
        expected = 2 * subject.promise.interface.num_batch_norms if mode.training else 0
        found = len(set(collection(meta_graph, "update_ops").node_list.value))
        if found != expected:
            yield f"{label}: expected {expected}, got {found}"


def regularization_losses(subject: Subject) -> Problems:
    """There is one L2 loss for each regularized kernel, of that kernel alone."""
    expected = subject.promise.interface.num_regularization_losses
    for label, _, meta_graph in subject.meta_graphs():
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        losses = set(collection(meta_graph, "regularization_losses").node_list.value)
        if len(losses) != expected:
            yield f"{label}: expected {expected}, got {len(losses)}"
        kernels = {}
        for loss in sorted(losses):
            behind = [nodes[name] for name in ancestors(nodes, loss)]
            names = [node.name for node in behind if node.op == "VarHandleOp"]
            if len(names) != 1 or "L2Loss" not in {node.op for node in behind}:
                yield f"{label} {loss}: expected an L2 loss of one variable, got one of {', '.join(sorted(names)) or 'none'}"
            elif not names[0].endswith(KERNEL):
                yield f"{label} {loss}: expected the loss of a kernel, got that of {names[0]}"
            elif kernels.setdefault(names[0], loss) != loss:
                yield f"{label} {loss}: {names[0]} has the loss {kernels[names[0]]} already"


def loss_values(subject: Subject) -> Problems:
    """Each loss is the weight decay times half the squared norm of its kernel."""
    for mode, graph in subject.running():
        nodes = {node.name: node for node in graph.meta_graph.graph_def.node}
        losses = graph.collection("regularization_losses")
        for loss, found in zip(losses, graph.session.run(losses), strict=True):
            behind = sorted(ancestors(nodes, loss.name))
            names = [name for name in behind if nodes[name].op == "VarHandleOp"]
            kernels = [subject.module.read_variable(name) for name in names]
            yield from wrong_loss(mode.label, subject.promise, names, kernels, found)


def attachment(subject: Subject) -> Problems:
    """The default image size is attached where the version promises it, and only there."""
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


def variables(subject: Subject) -> Problems:
    """The variables on disk are those of each graph, as many as promised; moving averages are not trainable."""
    interface = subject.promise.interface
    on_disk = subject.module.variables
    outside = sorted(name for name in on_disk if not name.startswith(f"{interface.scope}/"))
    yield from (f"{name} is not in the scope {interface.scope}" for name in outside)
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
            "variables": interface.num_variables,
            "model_variables": interface.num_variables,
            "trainable_variables": interface.num_trainable_variables,
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


def attributes(subject: Subject) -> Problems:
    """TF 1.15 knows the attributes of all operations, and there are no functions."""
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


def image_range(subject: Subject) -> Problems:
    """Images in [0, 1] are rescaled in the graph to what the network was trained on."""
    interface = subject.promise.interface
    scale, offsets = interface.input_scale, np.array(interface.input_offsets, np.float32)
    images = subject.images(batch=1)
    for mode, graph in subject.running():
        try:
            source = graph.graph.get_tensor_by_name(subject.promise.images.name)
            first, last = map(graph.graph.get_operation_by_name, RESCALING)
        except KeyError as error:
            yield f"{mode.label}: {error.args[0]}"
            continue
        rescaled = graph.session.run(last.outputs[0], {source: images})
        found = difference(rescaled, scale * images - offsets)
        if not found <= TOLERANCE:
            yield f"{mode.label}: expected {interface.rescaling}, got a difference of {found:g}"
        for tensor, only in ((source, first), (first.outputs[0], last)):
            readers = [op.name for op in tensor.consumers() if op != only]
            if readers:
                yield f"{mode.label} {tensor.name}: read without rescaling, by {', '.join(readers)}"


def moving_averages(subject: Subject) -> Problems:
    """Under `train`, the updates move moving averages by (1 - momentum) * (batch statistic - old); nothing else moves."""
    images = subject.images(batch=2)
    for mode, graph in subject.running():
        graph.run(images)
        variables = {variable.op.name: variable for variable in graph.collection("variables")}
        # Not with what the session held a moment ago: other checks ran it before.
        for on_disk in subject.module.portions(variables):
            for name in graph.unlike(on_disk, variables):
                yield f"{mode.label} {name}: expected it to stay when outputs were run, it moved"
        if not mode.training or subject.promise.momentum is None:
            continue
        source = graph.graph.get_tensor_by_name(subject.promise.images.name)
        yield from _updates(mode.label, graph, {source: images}, momentum=subject.promise.momentum)
        if subject.promise.momentum_input is not None:
            momentum = graph.graph.get_tensor_by_name(subject.promise.momentum_input.name)
            feeds = {source: images, momentum: _OTHER_MOMENTUM}
            yield from _updates(mode.label, graph, feeds, momentum=_OTHER_MOMENTUM)


GRAPH_CHECKS = (
    format_marker,
    tensor_names,
    signature_feeds,
    supported_collections,
    update_ops,
    regularization_losses,
    attachment,
    variables,
    attributes,
)
BEFORE_LOADS = ()
VALUE_CHECKS = (loss_values, image_range, moving_averages)


def _placeholders(nodes, tensor: str) -> set[str]:
    return {name for name in ancestors(nodes, tensor) if nodes[name].op == "Placeholder"}


def _attachment(serialized: bytes):
    attached = hub_protos.ModuleAttachment.FromString(serialized)
    size = hub_protos.ImageModuleInfo.FromString(attached.value).default_image_size
    return attached.key, (size.height, size.width)


def _updates(label: str, graph: RunningGraph, feeds, *, momentum: float) -> Problems:
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
    yield from misplaced(label, updated, momentum=momentum)


def _statistics(graph: tf.Graph) -> Iterator[tuple[str, tf.Tensor]]:
    """Of each batch norm that uses the statistics of the batch, these, by the averages they go to."""
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
