"""A meta graph's parts, by who runs them, and what makes no sense about its nodes and functions."""

import collections
import dataclasses
import graphlib
from collections.abc import Iterable, Iterator

from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures.module.module import ancestors
from slimhub.support.tf_private import op_def_registry

Problems = Iterator[str]

_SAVER_FIELDS = ("save_tensor_name", "restore_op_name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Nodes of a meta graph.

    Attributes:
      nodes: the nodes.
      function: name of the function that has them; empty for the graph.
      saver: field of the saver that alone runs them; empty for what others may run.
      path: input of a node that reads where the loader says that the variables are, where the saver runs it.
    """

    nodes: list[node_def_pb2.NodeDef]
    function: str = ""
    saver: str = ""
    path: str = ""

    @property
    def where(self) -> str:
        """The end of a message about the part."""
        return f" in {self.function}" if self.function else ""


def parts(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Part]:
    """Yield all nodes: those of the graph that the saver doesn't run, those that it runs, each function."""
    savers = _saver_nodes(meta_graph)
    path = _output(meta_graph.saver_def.filename_tensor_name)
    for field in ("", *_SAVER_FIELDS):
        nodes = [node for node in meta_graph.graph_def.node if savers.get(node.name, "") == field]
        yield Part(nodes=nodes, saver=field, path=path)
    functions = _saver_functions(meta_graph, savers)
    for function in meta_graph.graph_def.library.function:
        name, arguments = function.signature.name, function.signature.input_arg
        yield Part(
            nodes=list(function.node_def),
            function=name,
            saver=functions.get(name, ""),
            path=arguments[0].name if arguments else "",
        )


def faults(meta_graph: meta_graph_pb2.MetaGraphDef, parts: Iterable[Part]) -> Problems:
    """Look for what no module may have, whichever operations are allowed.

    These are names that can be understood in several ways or in none, functions without an end, and a
    saver that reads other files than the module's.
    """
    library = meta_graph.graph_def.library.function
    names = [function.signature.name for function in library]
    for part in parts:
        # Which of them is run, others need not agree on.
        for name in _repeated(node.name for node in part.nodes):
            yield f"has several operations named {name}{part.where}"
        # TensorFlow may look elsewhere for it: among operations, and functions of other modules.
        for name in sorted({name for node in part.nodes for name in called(node)} - set(names)):
            yield f"has no function {name}, which is called{part.where}"
        for node in part.nodes:
            if node.op == "RestoreV2" and [_output(name) for name in node.input[:1]] != [part.path]:
                yield f"has variables in another place than the module in {node.name}{part.where}"
    for name in _repeated(names):
        yield f"has several functions named {name}"
    for name in sorted(set(names)):
        if op_def_registry.get(name) is not None:
            yield f"has a function with the name of the operation {name}"
    calls = {function.signature.name: _called(function) for function in library}
    try:
        graphlib.TopologicalSorter(calls).prepare()
    except graphlib.CycleError as error:
        yield f"has functions that call each other in a circle: {', '.join(error.args[1])}"


def called(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Yield the names of the functions in an operation's attributes."""
    for value in node.attr.values():
        yield from _named(value)


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in collections.Counter(names).items() if count > 1)


def _saver_nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """Return the fields of the saver by the nodes that it alone runs."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    # A loader or a user runs what some collections name, be it by the definition of a variable.
    others = (meta_graph.signature_def, meta_graph.collection_def)
    named = b"".join(one.SerializeToString() for group in others for one in group.values())
    tensors = {field: getattr(meta_graph.saver_def, field) for field in _SAVER_FIELDS}
    found: dict[str, str] = {}
    for field, tensor in tensors.items():
        behind = ancestors(nodes, tensor)
        run = (nodes.keys() - behind) | {name for name in behind if name.encode() in named}
        rest = (other for name, other in tensors.items() if name != field)
        found |= dict.fromkeys(behind - ancestors(nodes, *run, *rest), field)
    return found


def _saver_functions(
    meta_graph: meta_graph_pb2.MetaGraphDef, nodes: dict[str, str]
) -> dict[str, str]:
    """Return the fields of the saver by the functions that only nodes of `nodes` call, with its path first."""
    path = _output(meta_graph.saver_def.filename_tensor_name)
    savers = {
        function: nodes[node.name]
        for node in meta_graph.graph_def.node
        if node.name in nodes and [_output(name) for name in node.input[:1]] == [path]
        for function in (node.op, *called(node))
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


def _output(name: str) -> str:
    """Return the name of an output as inputs have it."""
    return name.removesuffix(":0")


def _called(function: function_pb2.FunctionDef) -> set[str]:
    """Return the names of the functions that a function may call."""
    return {name for node in function.node_def for name in (node.op, *called(node))}


def _named(value: attr_value_pb2.AttrValue) -> Iterator[str]:
    for function in (value.func, *value.list.func):
        if function.name:
            yield function.name
            for inner in function.attr.values():
                yield from _named(inner)
