"""The check that must have passed before any graph of a module is run. Yields one line a problem.

An operation may read or write any file, or run any program. So each one must be known, and those
that write or read the variables must be out of reach of everything but the saver.
"""

import collections
import graphlib
from collections.abc import Iterable, Iterator

from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2

from slimhub.signatures.checks.module_under_test import ModuleUnderTest

Problems = Iterator[str]

# All that objects of a module are, with `asset` where one is promised. TensorFlow runs functions of
# others when it loads them.
_KINDS = ("user_object", "function", "bare_concrete_function", "variable")
_CLASSES = ("_generic_user_object", "trackable_list_wrapper", "signature_map")


def operations(subject: ModuleUnderTest) -> Problems:
    """Look for operations, functions and objects beyond those of an image network."""
    for label, modes, meta_graph in subject.meta_graphs():
        allowed = subject.promise.format.operations[modes[0].tags]
        savers = _savers(meta_graph)
        parts = [("", allowed, list(meta_graph.graph_def.node))]
        for function in meta_graph.graph_def.library.function:
            name = function.signature.name
            extra = subject.promise.format.saver_operations.get(savers.get(name, ""), frozenset())
            parts.append((f" in {name}", allowed | extra, list(function.node_def)))
            if name in allowed:
                yield f"{label} has a function with the name of the operation {name}"
        for where, known, nodes in parts:
            found = collections.Counter(node.op for node in nodes)
            for op in sorted(set(found) - known):
                yield f"{label} has {found[op]} of the operation {op}{where}"
            # Which of them is run, others need not agree on.
            for name in _repeated(node.name for node in nodes):
                yield f"{label} has several operations named {name}{where}"
        library = meta_graph.graph_def.library.function
        for name in _repeated(function.signature.name for function in library):
            yield f"{label} has several functions named {name}"
        calls = {one.signature.name: _called(one) for one in library}
        try:
            graphlib.TopologicalSorter(calls).prepare()
        except graphlib.CycleError as error:
            yield f"{label} has functions that call each other in a circle: {', '.join(error.args[1])}"
        kinds = (*_KINDS, "asset") if subject.promise.assets else _KINDS
        for number, node in enumerate(meta_graph.object_graph_def.nodes):
            yield from (f"{label} object {number}: {what}" for what in _foreign(node, kinds))


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in collections.Counter(names).items() if count > 1)


def _foreign(node: saved_object_graph_pb2.SavedObject, kinds: tuple[str, ...]) -> Problems:
    """Name what an object has that makes TensorFlow run more than its constructor."""
    kind = node.WhichOneof("kind")
    if kind not in kinds:
        yield f"expected one of {', '.join(kinds)}, got {kind or 'nothing'}"
    if kind == "user_object" and node.user_object.identifier not in _CLASSES:
        yield f"expected one of {', '.join(_CLASSES)}, got {node.user_object.identifier}"
    for field in ("registered_name", "registered_saver", "saveable_objects"):
        if getattr(node, field):
            yield f"it has a {field}"


def _savers(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """Return the fields of the saver by the functions that it alone calls, from operations that nothing reads."""
    saver = meta_graph.saver_def
    save, restore = (
        name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name)
    )
    if save == restore:
        return {}
    fields = {save: "save_tensor_name", restore: "restore_op_name"}
    run = _run(meta_graph)
    savers = {
        function: fields[node.name]
        for node in meta_graph.graph_def.node
        if node.name in fields and node.name not in run
        for function in _functions(node)
    }
    serialized = meta_graph.SerializeToString()
    return {
        function.signature.name: savers[function.signature.name]
        for function in meta_graph.graph_def.library.function
        if function.signature.name in savers
        # Nothing else names it, be it a call, an object, a gradient or an attribute.
        and serialized.count(function.signature.name.encode()) == 2
        # By others than these, TensorFlow may take a function for another.
        and all(key.startswith("_") for key in function.attr)
    }


def _run(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Return the names of all operations that something reads, or that a loader or a user runs."""
    tensors = [name for node in meta_graph.graph_def.node for name in node.input]
    for signature in meta_graph.signature_def.values():
        for info in signature.outputs.values():
            tensors.extend(_tensors(info))
    # A loader runs what some collections name.
    for definition in meta_graph.collection_def.values():
        tensors.extend(definition.node_list.value)
    return {name.removeprefix("^").partition(":")[0] for name in tensors}


def _tensors(info: meta_graph_pb2.TensorInfo) -> Iterator[str]:
    yield info.name
    yield from (
        info.coo_sparse.values_tensor_name,
        info.coo_sparse.indices_tensor_name,
        info.coo_sparse.dense_shape_tensor_name,
    )
    for component in info.composite_tensor.components:
        yield from _tensors(component)


def _functions(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Yield the names of the functions that an operation may call."""
    yield node.op
    for value in node.attr.values():
        yield from _named(value)


def _called(function: function_pb2.FunctionDef) -> set[str]:
    """Return the names of the functions that a function may call."""
    return {name for node in function.node_def for name in _functions(node)}


def _named(value: attr_value_pb2.AttrValue) -> Iterator[str]:
    for function in (value.func, *value.list.func):
        if function.name:
            yield function.name
            for inner in function.attr.values():
                yield from _named(inner)
