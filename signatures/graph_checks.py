"""Checks of what is on disk, without running it. Each yields what is wrong, one line a problem."""

import collections
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import variable_pb2

from slimhub.signatures import contract, hub_protos
from slimhub.signatures.module import ancestors, collection
from slimhub.signatures.subject import Subject

Problems = Iterator[str]

_LOCAL_PATH = re.compile(r"file:|~?/|[A-Za-z]:\\")


def files(subject: Subject) -> Problems:
    """It consists of the promised files only."""
    yield from _differences("file", set(contract.FILES), set(subject.module.files))


def format_marker(subject: Subject) -> Problems:
    """tfhub_module.pb marks the TF1 Hub format."""
    if contract.FORMAT_MARKER not in subject.module.files:
        return  # `files` says so.
    expected = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3).SerializeToString()
    found = subject.module.read(contract.FORMAT_MARKER)
    if found != expected:
        yield f"expected the bytes {expected.hex(' ')}, got {found[:8].hex(' ') or 'none'}"


def provenance(subject: Subject) -> Problems:
    """Its provenance agrees with what it is expected to be."""
    record = subject.module.provenance
    tail = f"{record.model}/{record.task}/{record.version}"
    if not f"/{record.handle}".endswith(f"/{tail}"):
        yield f"expected a handle that ends with {tail}, got {record.handle}"
    for file in record.checkpoint:
        if PurePath(file.name).name != file.name:
            yield f"expected the name of a file without its folder, got {file.name}"
    found = record.promise()
    if found != subject.promise:
        yield from _fields("", subject.promise, found, ("version", "task"))
        yield from _fields("interface.", subject.promise.interface, found.interface)


def tag_sets(subject: Subject) -> Problems:
    """The meta graphs have the promised tag sets, in order."""
    expected = [set(tag_set.tags) for tag_set in subject.promise.tag_sets]
    found = [set(graph.meta_info_def.tags) for graph in subject.module.saved_model.meta_graphs]
    if found != expected:
        yield f"expected {_sets(expected)}, got {_sets(found)}"


def signature_names(subject: Subject) -> Problems:
    """Each tag set has the promised signatures and no others."""
    expected = {signature.name for signature in subject.promise.signatures}
    for label, _, meta_graph in subject.tagged():
        found = set(meta_graph.signature_def)
        yield from _differences(f"signature in {label}", expected, found)


def signature_inputs(subject: Subject) -> Problems:
    """Each signature's inputs have the promised keys, dtypes and shapes."""
    for where, signature, found in _signatures(subject):
        yield from _tensors(f"{where} input", signature.inputs, found.inputs)


def signature_outputs(subject: Subject) -> Problems:
    """Each signature's outputs have the promised keys, dtypes and shapes."""
    for where, signature, found in _signatures(subject):
        if signature.name != "default":
            yield from _tensors(f"{where} output", signature.outputs, found.outputs)


def default_output(subject: Subject) -> Problems:
    """The signature `default` has one output, `default`, the module's main task."""
    for where, signature, found in _signatures(subject):
        if signature.name == "default":
            yield from _tensors(f"{where} output", signature.outputs, found.outputs)


def tensor_names(subject: Subject) -> Problems:
    """Tensors have the names that scripts of users know."""
    for where, signature, found in _signatures(subject):
        pairs = ((signature.inputs, found.inputs), (signature.outputs, found.outputs))
        for specs, infos in pairs:
            for key in sorted(set(specs) & set(infos)):
                if infos[key].name != specs[key].name:
                    yield f"{where} {key}: expected {specs[key].name}, got {infos[key].name}"


def supported_collections(subject: Subject) -> Problems:
    """There are only collections that the TF Hub library accepts."""
    for label, _, meta_graph in subject.tagged():
        for name in sorted(set(meta_graph.collection_def) - contract.SUPPORTED_COLLECTIONS):
            yield f"{label} has the collection {name}"


def update_ops(subject: Subject) -> Problems:
    """Moving averages are updated under `train` only, by two operations a batch norm."""
    for label, tag_set, meta_graph in subject.tagged():
        found = len(set(collection(meta_graph, "update_ops").node_list.value))
        if found != tag_set.num_update_ops:
            yield f"{label}: expected {tag_set.num_update_ops}, got {found}"


def regularization_losses(subject: Subject) -> Problems:
    """There is one L2 loss for each regularized kernel, of that kernel alone."""
    expected = subject.promise.interface.num_regularization_losses
    for label, _, meta_graph in subject.tagged():
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
            elif kernels.setdefault(names[0], loss) != loss:
                yield f"{label} {loss}: {names[0]} has the loss {kernels[names[0]]} already"


def attachment(subject: Subject) -> Problems:
    """The default image size is attached where the version promises it, and only there."""
    size = subject.promise.image_module_info
    expected = [] if size is None else [(hub_protos.IMAGE_MODULE_INFO, size)]
    for label, _, meta_graph in subject.tagged():
        serialized = collection(meta_graph, contract.ATTACHMENTS).bytes_list.value
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
    for label, _, meta_graph in subject.tagged():
        handles = {
            node.name: _type(node.attr["dtype"].type, node.attr["shape"].shape)
            for node in meta_graph.graph_def.node
            if node.op == "VarHandleOp"
        }
        yield from _differences(f"variable in {label}", set(on_disk), set(handles))
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
            protos = [variable_pb2.VariableDef.FromString(value) for value in values]
            found = {proto.variable_name.removesuffix(":0"): proto.trainable for proto in protos}
            if len(found) != expected:
                yield f"{label} {kind}: expected {expected}, got {len(found)}"
            for name in sorted(set(found) - set(handles)):
                yield f"{label} {kind}: {name} is not in the graph"
            for name, trainable in sorted(found.items()):
                average = name.endswith(contract.MOVING_AVERAGES)
                if average and (trainable or kind == "trainable_variables"):
                    yield f"{label} {kind}: {name} is a moving average, and trainable"
                if not average and not trainable:
                    yield f"{label} {kind}: {name} is a weight, and not trainable"


def operations(subject: Subject) -> Problems:
    """Only operations of inference, and under `train` of batch-norm updates and dropout, as TF 1.15 knows them."""
    for label, tag_set, meta_graph in subject.tagged():
        allowed = contract.INFERENCE_OPS | (contract.TRAINING_OPS if tag_set.training else set())
        found = collections.Counter(node.op for node in meta_graph.graph_def.node)
        for op in sorted(set(found) - allowed):
            yield f"{label} has {found[op]} of the operation {op}"
        attributes = collections.Counter(
            f"{key} at operations {node.op}"
            for node in meta_graph.graph_def.node
            for key in node.attr
            if key not in contract.ATTRIBUTES and not key.startswith("_")
        )
        for attribute in sorted(attributes):
            yield f"{label} has {attributes[attribute]} of the attribute {attribute}"
        if meta_graph.graph_def.library.function:
            yield f"{label} has a library of functions"


def devices_and_paths(subject: Subject) -> Problems:
    """No graph names a device or a local path."""
    for label, _, meta_graph in subject.tagged():
        for node in meta_graph.graph_def.node:
            if node.device:
                yield f"{label} {node.name}: device {node.device}"
            for key, attr in node.attr.items():
                for value in (attr.s, *attr.list.s, *attr.tensor.string_val):
                    if _LOCAL_PATH.match(value.decode(errors="replace")):
                        yield f"{label} {node.name}: {key} is {value!r}"


CHECKS = (
    files,
    format_marker,
    provenance,
    tag_sets,
    signature_names,
    signature_inputs,
    signature_outputs,
    default_output,
    tensor_names,
    supported_collections,
    update_ops,
    regularization_losses,
    attachment,
    variables,
    operations,
    devices_and_paths,
)


def _sets(tag_sets) -> str:
    return ", ".join(f"{{{', '.join(sorted(tags))}}}" for tags in tag_sets) or "none"


def _differences(what: str, expected: set[str], found: set[str]) -> Problems:
    for name in sorted(expected - found):
        yield f"{what} missing: {name}"
    for name in sorted(found - expected):
        yield f"{what} not expected: {name}"


def _fields(where: str, expected, found, names=None) -> Problems:
    """Differences of two dataclasses, in all fields or those of these names."""
    for name in names or sorted(vars(expected)):
        ours, theirs = getattr(expected, name), getattr(found, name)
        if ours != theirs and isinstance(ours, Mapping):
            keys = sorted(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
            yield f"{where}{name}: expected others of {', '.join(keys)}"
        elif ours != theirs:
            yield f"{where}{name}: expected {ours}, got {theirs}"


def _signatures(subject: Subject):
    """Signatures both promised and found; `signature_names` tells of the others."""
    for label, _, meta_graph in subject.tagged():
        for signature in subject.promise.signatures:
            if signature.name in meta_graph.signature_def:
                found = meta_graph.signature_def[signature.name]
                yield f"{label} {signature.name}", signature, found


def _tensors(what: str, specs, infos) -> Problems:
    yield from _differences(what, set(specs), set(infos))
    for key in sorted(set(specs) & set(infos)):
        found = _type(infos[key].dtype, infos[key].tensor_shape)
        if found != specs[key].type:
            yield f"{what} {key}: expected {specs[key].type}, got {found}"


def _type(number: int, shape) -> str:
    try:
        dtype = tf.as_dtype(number).name
    except TypeError:
        dtype = f"dtype {number}"
    if shape.unknown_rank:
        return f"{dtype} of unknown rank"
    return contract.tensor_type(dtype, [None if dim.size == -1 else dim.size for dim in shape.dim])


def _attachment(serialized: bytes):
    attached = hub_protos.ModuleAttachment.FromString(serialized)
    size = hub_protos.ImageModuleInfo.FromString(attached.value).default_image_size
    return attached.key, (size.height, size.width)
