"""Checks of what is on disk, without running it. Each yields what is wrong, one line a problem."""

import collections
import re
from collections.abc import Iterator

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures import contract, hub_protos
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
    if record.promise() != subject.promise:
        yield "expected the interface that was exported, got another"


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
        found = len(set(_collection(meta_graph, "update_ops").node_list.value))
        if found != tag_set.num_update_ops:
            yield f"{label}: expected {tag_set.num_update_ops}, got {found}"


def regularization_losses(subject: Subject) -> Problems:
    """There is one L2 loss for each regularized kernel."""
    expected = subject.promise.interface.num_regularization_losses
    for label, _, meta_graph in subject.tagged():
        found = len(set(_collection(meta_graph, "regularization_losses").node_list.value))
        if found != expected:
            yield f"{label}: expected {expected}, got {found}"


def attachment(subject: Subject) -> Problems:
    """The default image size is attached where the version promises it, and only there."""
    size = subject.promise.image_module_info
    expected = [] if size is None else [(hub_protos.IMAGE_MODULE_INFO, size)]
    for label, _, meta_graph in subject.tagged():
        serialized = _collection(meta_graph, contract.ATTACHMENTS).bytes_list.value
        try:
            found = [_attachment(value) for value in serialized]
        except message.DecodeError as error:
            yield f"{label}: can't be parsed: {error}"
        else:
            if found != expected:
                yield f"{label}: expected {expected}, got {found}"


def variables(subject: Subject) -> Problems:
    """The variables on disk are those of each graph, and as many as promised."""
    interface = subject.promise.interface
    on_disk = subject.module.variables
    outside = sorted(name for name in on_disk if not name.startswith(f"{interface.scope}/"))
    yield from (f"{name} is not in the scope {interface.scope}" for name in outside)
    for label, _, meta_graph in subject.tagged():
        handles = {
            node.name: _shape_and_dtype(node.attr)
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
        for collection, expected in counts.items():
            values = _collection(meta_graph, collection).bytes_list.value
            found = {variable_pb2.VariableDef.FromString(value).variable_name for value in values}
            if len(found) != expected:
                yield f"{label} {collection}: expected {expected}, got {len(found)}"


def operations(subject: Subject) -> Problems:
    """The graphs have no operations beyond inference, and under `train` batch-norm updates and dropout."""
    for label, tag_set, meta_graph in subject.tagged():
        allowed = contract.INFERENCE_OPS | (contract.TRAINING_OPS if tag_set.training else set())
        found = collections.Counter(node.op for node in meta_graph.graph_def.node)
        for op in sorted(set(found) - allowed):
            yield f"{label} has {found[op]} of the operation {op}"
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
        expected = f"{specs[key].dtype} {_shape(specs[key].shape)}"
        sizes = [None if dim.size == -1 else dim.size for dim in infos[key].tensor_shape.dim]
        found = f"{_dtype(infos[key].dtype)} {_shape(sizes)}"
        if infos[key].tensor_shape.unknown_rank:
            found = f"{_dtype(infos[key].dtype)} of unknown rank"
        if found != expected:
            yield f"{what} {key}: expected {expected}, got {found}"


def _shape(sizes) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"


def _dtype(number: int) -> str:
    try:
        return tf.as_dtype(number).name
    except TypeError:
        return f"dtype {number}"


def _collection(meta_graph, name: str) -> meta_graph_pb2.CollectionDef:
    # Indexing a protobuf map by a missing key would add it.
    definitions = meta_graph.collection_def
    return definitions[name] if name in definitions else meta_graph_pb2.CollectionDef()


def _attachment(serialized: bytes):
    attached = hub_protos.ModuleAttachment.FromString(serialized)
    size = hub_protos.ImageModuleInfo.FromString(attached.value).default_image_size
    return attached.key, (size.height, size.width)


def _shape_and_dtype(attr):
    return tuple(dim.size for dim in attr["shape"].shape.dim), _dtype(attr["dtype"].type)
