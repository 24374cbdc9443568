"""Checks of what is on disk, without running it. Each yields what is wrong, one line a problem.

`registry` says what each one holds a module to.
"""

import collections
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.report import NotApplicableError
from slimhub.signatures.checks.safety.operations import operations
from slimhub.signatures.contract import contract, formats, handles
from slimhub.signatures.contract.network import TensorSpec, tensor_type
from slimhub.signatures.module import class_names as label_file
from slimhub.signatures.module.directory import UnreadableError, differences
from slimhub.signatures.module.module import all_nodes, type_of

Problems = Iterator[str]

# What stands for an asset; whoever loads the module puts its path there.
_NO_PATH = attr_value_pb2.AttrValue(tensor=tf.make_tensor_proto(b""))
# The device that every machine has. TensorFlow 2 names it in what saves and restores variables.
_CPU = re.compile("(/job:localhost/replica:0/task:0)?(/device:CPU:[0*]|/CPU:0)")
_LOCAL_PATH = re.compile(r"file:|~?/|[A-Za-z]:\\")


def readable(subject: ModuleUnderTest) -> Problems:
    """Read every part of the module, and name all that can't be read."""
    module = subject.module
    unreadable = set()
    parts = ("files", "saved_model", "variables")
    for part in (*parts, "provenance") if subject.level == contract.EXACT else parts:
        try:
            getattr(module, part)
        except UnreadableError as error:
            yield str(error)
            unreadable.add(part)
            if part == "files":
                return  # To open the others may lead anywhere.
    if "provenance" in unreadable:
        return
    try:
        _ = subject.promise
    except UnreadableError as error:
        yield str(error)
    if unreadable:
        # Why that is so: `checksums`, which is not run then, would tell.
        yield from module.changed_files()


def files(subject: ModuleUnderTest) -> Problems:
    """Compare the files with the promised ones."""
    promise, found = subject.promise, set(subject.module.files)
    expected = set(promise.files)
    if not promise.exact:
        # Others do no harm, but for the one by which loaders tell the formats apart.
        found &= expected | {formats.FORMAT_MARKER}
    yield from differences("file", expected, found)


def checksums(subject: ModuleUnderTest) -> Problems:
    """Compare every file with its size and SHA-256 in the provenance."""
    yield from subject.module.changed_files()


def provenance(subject: ModuleUnderTest) -> Problems:
    """Compare the provenance with what the module is held to, and its parts with each other."""
    record = subject.module.provenance
    tail = f"{record.model}/{record.task}/{record.version}"
    if not f"/{record.handle}".endswith(f"/{tail}"):
        yield f"expected a handle that ends with {tail}, got {record.handle}"
    if record.contract != record.version and record.handle.split("/")[0] == handles.PUBLISHER:
        yield f"expected a handle that does not begin with {handles.PUBLISHER}/, as version {record.version} keeps the contract of version {record.contract}"
    for file in record.checkpoint:
        if PurePath(file.name).name != file.name:
            yield f"expected the name of a file without its folder, got {file.name}"
    found = subject.module.promise(frozen=subject.expectation.network)
    if found != subject.promise:
        yield from _fields("", subject.promise, found, ("version", "task", "labels"))
        yield from _fields("network.", subject.promise.network, found.network)


def tag_sets(subject: ModuleUnderTest) -> Problems:
    """Compare the tag sets, in their order."""
    expected = list(subject.promise.tag_sets)
    graphs = subject.module.saved_model.meta_graphs
    found = [tuple(graph.meta_info_def.tags) for graph in graphs]
    if not subject.promise.exact and not subject.promise.format.callable:
        # In any order, and beside others; TensorFlow 2 takes the only one.
        found = [tags for tags in found if tags in expected]
        found.sort(key=expected.index)
    if found != expected:
        yield f"expected {_sets(expected)}, got {_sets(found)}"


def signature_names(subject: ModuleUnderTest) -> Problems:
    """Compare the names of the signatures in each tag set."""
    for label, modes, meta_graph in subject.meta_graphs():
        expected = {signature.name for mode in modes for signature in mode.signatures}
        found = set(meta_graph.signature_def) - subject.promise.format.own_signatures
        if not subject.promise.exact:
            found &= expected
        yield from differences(f"signature in {label}", expected, found)


def signature_inputs(subject: ModuleUnderTest) -> Problems:
    """Compare keys, dtypes and shapes of the inputs of each signature."""
    for where, signature, found in signatures(subject):
        yield from _tensors(f"{where} input", signature.inputs, found.inputs)


def signature_outputs(subject: ModuleUnderTest) -> Problems:
    """Compare keys, dtypes and shapes of the outputs of each signature but the main one."""
    for where, signature, found in signatures(subject):
        if signature.name != subject.promise.format.main:
            yield from _outputs(subject.promise, where, signature.outputs, found.outputs)


def default_output(subject: ModuleUnderTest) -> Problems:
    """Compare the output of the signature that stands for the module's task."""
    for where, signature, found in signatures(subject):
        if signature.name == subject.promise.format.main:
            specs = signature.outputs
            if not subject.promise.exact and subject.promise.format.callable:
                # By whatever key: that of the originals' feature vectors is unknown.
                specs = {key: spec for key in found.outputs for spec in specs.values()} or specs
            yield from _outputs(subject.promise, where, specs, found.outputs)


def parameters(subject: ModuleUnderTest) -> Problems:
    """Compare the number of parameters on disk with that of the network."""
    expected, found = subject.promise.network.num_parameters, subject.module.num_parameters
    if found != expected:
        yield f"expected {expected} numbers in all variables, got {found}"


def finite_variables(subject: ModuleUnderTest) -> Problems:
    """Look for values on disk that are not finite."""
    # Outputs may hide it: in some kernels, the ReLU of a NaN is 0.
    for name in sorted(subject.module.variables):
        value = subject.module.read_variable(name)
        if not subject.promise.exact and not np.issubdtype(value.dtype, np.inexact):
            continue  # Such as a counter of steps.
        if not np.issubdtype(value.dtype, np.number):
            yield f"{name}: expected numbers, got {value.dtype}"
            continue
        bad = value.size - np.count_nonzero(np.isfinite(value))
        if bad:
            yield f"{name}: {bad} of {value.size} values are not finite"


def devices_and_paths(subject: ModuleUnderTest) -> Problems:
    """Look for devices, local paths and foreign assets in every graph."""
    for label, _, meta_graph in subject.meta_graphs():
        if subject.promise.exact:
            yield from (f"{label} {what}" for what in _assets(subject.promise, meta_graph))
        # Loaders put the path of the asset in place of that.
        assets = {asset.tensor_info.name.split(":")[0] for asset in meta_graph.asset_file_def}
        for node in all_nodes(meta_graph):
            if node.device and (subject.promise.exact or not _CPU.fullmatch(node.device)):
                yield f"{label} {node.name}: device {node.device}"
            if node.name in assets:
                continue
            for key, attr in node.attr.items():
                for value in (attr.s, *attr.list.s, *attr.tensor.string_val):
                    if _LOCAL_PATH.match(value.decode(errors="replace")):
                        yield f"{label} {node.name}: {key} is {value!r}"


def labels(subject: ModuleUnderTest) -> Problems:
    """Read the names of the classes, and compare their number with the logits."""
    name, logits = subject.promise.labels, subject.promise.network.logits
    if name is None or logits is None:
        raise NotApplicableError("the module names no classes")
    content = subject.module.read(name, most=label_file.MOST_BYTES)
    try:
        found = label_file.parse(content)
    except ValueError as error:
        yield f"{name}: {error}"
        return
    if content != label_file.to_bytes(found):
        yield f"{name}: the last line has no end"
    expected = logits.shape[1]
    if len(found) != expected:
        yield f"{name}: expected {expected} classes, a line each, got {len(found)}"


CHECKS = {
    "readable": readable,
    "files": files,
    "checksums": checksums,
    "provenance": provenance,
    "tag-sets": tag_sets,
    "signature-names": signature_names,
    "signature-inputs": signature_inputs,
    "signature-outputs": signature_outputs,
    "default-output": default_output,
    "operations": operations,
    "devices-and-paths": devices_and_paths,
    "labels": labels,
    "parameters": parameters,
    "finite-variables": finite_variables,
}


def _assets(promise: contract.Contract, meta_graph) -> Problems:
    """Look for assets that are not promised, are missing, or have a path in the graph."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    missing = collections.Counter(promise.assets)
    for asset in meta_graph.asset_file_def:
        name = asset.tensor_info.name
        if not missing[asset.filename]:
            yield f"{name}: the asset {asset.filename}"
            continue
        missing[asset.filename] -= 1
        node = nodes.get(name.removesuffix(":0"))
        # Indexing a protobuf map by a missing key would add it.
        value = node.attr["value"] if node is not None and "value" in node.attr else None
        if node is None or node.op != "Const" or value != _NO_PATH:
            yield f"{name}: expected an empty constant for the asset {asset.filename}"
    yield from (f"no asset {name}" for name in missing.elements())


def _sets(tag_sets) -> str:
    return ", ".join(f"{{{', '.join(tags)}}}" for tags in tag_sets) or "none"


def _fields(where: str, expected, found, names=None) -> Problems:
    """Compare two dataclasses, in all fields or those of these names."""
    for name in names or sorted(vars(expected)):
        ours, theirs = getattr(expected, name), getattr(found, name)
        if ours != theirs and isinstance(ours, Mapping):
            keys = sorted(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
            yield f"{where}{name}: expected others of {', '.join(keys)}"
        elif ours != theirs:
            yield f"{where}{name}: expected {ours}, got {theirs}"


def signatures(subject: ModuleUnderTest):
    """Yield label and name, promise and proto of each signature that was both promised and found."""
    if not any(mode.signatures for mode in subject.promise.modes):
        raise NotApplicableError("it has no signatures")
    for _, modes, meta_graph in subject.meta_graphs():
        for mode in modes:
            for signature in mode.signatures:
                if signature.name in meta_graph.signature_def:
                    found = meta_graph.signature_def[signature.name]
                    yield f"{mode.label} {signature.name}", signature, found


def wrong_variables(promise: contract.Contract, variables: Mapping[str, str]) -> Problems:
    """Compare the names and types of variables with those of the network."""
    network, exact = promise.network, promise.exact
    expected = {
        name: tensor_type("float32", variable.shape) for name, variable in network.variables.items()
    }
    yield from differences(
        "variable", set(expected), set(variables) if exact else set(variables) & set(expected)
    )
    for name in sorted(set(expected) & set(variables)):
        if variables[name] != expected[name]:
            yield f"{name}: expected {expected[name]}, got {variables[name]}"


def wrong_losses(
    where: str, kernels: Mapping[str, Sequence[str]], expected: Collection[str]
) -> Problems:
    """Compare the variables behind each regularization loss with those that are to have one.

    Args:
      where: for messages.
      kernels: names of the variables behind each loss, by the loss.
      expected: names of the variables that are to be behind one loss each.
    """
    if len(kernels) != len(expected):
        yield f"{where}: expected {len(expected)}, got {len(kernels)}"
    first: dict[str, str] = {}
    for loss, names in kernels.items():
        if len(names) != 1:
            yield f"{where} {loss}: expected the loss of one variable, got that of {', '.join(names) or 'none'}"
        elif names[0] not in expected:
            yield f"{where} {loss}: expected the loss of a kernel, got that of {names[0]}"
        elif first.setdefault(names[0], loss) != loss:
            yield f"{where} {loss}: {names[0]} has the loss {first[names[0]]} already"


def _outputs(promise: contract.Contract, where: str, specs, infos) -> Problems:
    if promise.exact:
        yield from _tensors(f"{where} output", specs, infos)
        return
    # Others do no harm; nor do sizes that are known of what may have any.
    for key, spec in sorted(specs.items()):
        if key not in infos:
            yield f"{where} output missing: {key}"
        elif not _is_a(infos[key], spec):
            found = type_of(infos[key].dtype, infos[key].tensor_shape)
            yield f"{where} output {key}: expected {spec.type}, got {found}"


def _is_a(info, spec: TensorSpec) -> bool:
    sizes = None if info.tensor_shape.unknown_rank else [dim.size for dim in info.tensor_shape.dim]
    return (
        info.dtype == tf.as_dtype(spec.dtype).as_datatype_enum
        and sizes is not None
        and len(sizes) == len(spec.shape)
        and all(of is None or of == size for of, size in zip(spec.shape, sizes, strict=True))
    )


def _tensors(what: str, specs, infos) -> Problems:
    yield from differences(what, set(specs), set(infos))
    for key in sorted(set(specs) & set(infos)):
        found = type_of(infos[key].dtype, infos[key].tensor_shape)
        if found != specs[key].type:
            yield f"{what} {key}: expected {specs[key].type}, got {found}"
