"""The check that must have passed before any graph of a module is run. Yields one line a problem.

An operation may read or write any file, or run any program. So each one must be known, and those
that write or read the variables must be out of reach of everything but the saver.
"""

import collections
from collections.abc import Iterator

from tensorflow.core.framework import attr_value_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures.subject import Subject

Problems = Iterator[str]
Nodes = list[node_def_pb2.NodeDef]


def operations(subject: Subject) -> Problems:
    """Only operations of inference and, where it is for training, of batch-norm updates and dropout."""
    for label, modes, meta_graph in subject.meta_graphs():
        allowed = subject.promise.format.operations[modes[0].tags]
        savers = _savers(meta_graph)
        parts = [("", allowed, list(meta_graph.graph_def.node))]
        for function in meta_graph.graph_def.library.function:
            name = function.signature.name
            extra = subject.promise.format.saver_operations.get(savers.get(name), frozenset())
            parts.append((f" in {name}", allowed | extra, list(function.node_def)))
        for where, known, nodes in parts:
            found = collections.Counter(node.op for node in nodes)
            for op in sorted(set(found) - known):
                yield f"{label} has {found[op]} of the operation {op}{where}"


def _savers(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """The fields of the saver, by the functions that it alone calls, from operations that nothing reads."""
    saver = meta_graph.saver_def
    nodes = {
        saver.save_tensor_name.partition(":")[0]: "save_tensor_name",
        saver.restore_op_name: "restore_op_name",
    }
    read = {
        name.removeprefix("^").partition(":")[0]
        for node in meta_graph.graph_def.node
        for name in node.input
    }
    read |= {
        info.name.partition(":")[0]
        for signature in meta_graph.signature_def.values()
        for info in signature.outputs.values()
    }
    # A loader runs what some collections name.
    read |= {
        name.partition(":")[0]
        for definition in meta_graph.collection_def.values()
        for name in definition.node_list.value
    }
    calls = collections.Counter(meta_graph.object_graph_def.concrete_functions.keys())
    savers = {}
    for node in meta_graph.graph_def.node:
        names = list(_functions(node))
        calls.update(names)
        if node.name in nodes and node.name not in read:
            savers.update(dict.fromkeys(names, nodes[node.name]))
    for function in meta_graph.graph_def.library.function:
        for node in function.node_def:
            calls.update(_functions(node))
    return {name: field for name, field in savers.items() if calls[name] == 1}


def _functions(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Names of the functions that an operation may call."""
    yield node.op
    for value in node.attr.values():
        yield from _named(value)


def _named(value: attr_value_pb2.AttrValue) -> Iterator[str]:
    for function in (value.func, *value.list.func):
        if function.name:
            yield function.name
            for inner in function.attr.values():
                yield from _named(inner)
