"""A graph without functions, which can be searched: what each output depends on."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping

from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from slimhub.signatures.module.module import ancestors, dependents
from slimhub.support.tf_private import op_def_registry

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Operations that draw random numbers.
RANDOM = re.compile("Random|Multinomial|TruncatedNormal|Stateful(Uniform|StandardNormal)")


class FlatGraph:
    """The nodes of a graph, with those of each function in the place of its calls.

    Nodes keep their names, unless those of two functions are the same.

    Attributes:
      nodes: operations by name, with their inputs and attributes, without control inputs.
    """

    def __init__(self, graph_def: graph_pb2.GraphDef, *, renamed: Mapping[str, str] | None = None):
        """Flatten a graph, whose functions don't call each other in a circle.

        Args:
          graph_def: the graph.
          renamed: new names of some of its nodes.
        """
        library = graph_def.library.function
        self._library = {function.signature.name: function for function in library}
        self._versions = graph_def.versions
        self._calls: set[str] = set()
        self.nodes: dict[str, node_def_pb2.NodeDef] = {}
        self._resolve = self._add(graph_def.node, renamed or {})

    def behind(self, tensor: str) -> set[str]:
        """Return the names of all operations that a tensor depends on, its own among them."""
        return ancestors(self.nodes, tensor)

    @functools.cached_property
    def random(self) -> set[str]:
        """Return the names of all operations whose values depend on random numbers."""
        draws = [node.name for node in self.nodes.values() if RANDOM.search(node.op)]
        return dependents(self.nodes, draws)

    def in_order_of_use(self, names: Iterable[str]) -> list[str]:
        """Return the names of operations in the order in which others first read them."""
        read: dict[str, int] = {}
        for node in self.nodes.values():
            if node.name not in self._calls:
                for tensor in node.input:
                    read.setdefault(_operation(tensor), len(read))
        return sorted(names, key=lambda name: (read.get(name, len(read)), name))

    def computed(self, tensor: str) -> str:
        """Return the name of the tensor that is passed on as this one, through calls and identities."""
        tensor = self._resolve(tensor)
        while (node := self.nodes[_operation(tensor)]).op == "Identity":
            [tensor] = node.input
        return tensor if ":" in tensor else f"{tensor}:0"

    def graph_def(self) -> graph_pb2.GraphDef:
        """Return a graph that has the operations of all functions, and no variables."""
        graph = graph_pb2.GraphDef(versions=self._versions)
        graph.node.extend(node for node in self.nodes.values() if node.name not in self._calls)
        graph.library.function.extend(self._library.values())
        return graph

    def _add(
        self, nodes: Iterable[node_def_pb2.NodeDef], names: Mapping[str, str], scope: str = ""
    ) -> Callable[[str], str]:
        """Add the nodes of a graph or of a function.

        Args:
          nodes: all nodes.
          names: new names of nodes; the tensors that are a function's arguments.
          scope: put before a name that another node has.

        Returns:
          A function that returns the name here of a tensor.
        """
        names, originals = dict(names), {node.name: node for node in nodes}
        calls: dict[str, function_pb2.FunctionDef] = {}

        def resolve(tensor: str) -> str:
            name, *output = tensor.split(":")
            number = int(output[-1]) if output else 0
            if name in calls:
                if output[1:] and originals[name].op not in _CALLS:
                    arguments = [one.name for one in calls[name].signature.output_arg]
                    number = arguments.index(output[0])
                return _output(names[name], number)
            if name in originals and output[1:]:
                number += _first(originals[name], output[0])
            return f"{names[name]}:{number}" if number else names[name]

        for node in originals.values():
            name = names.setdefault(node.name, node.name)
            while name in self.nodes:
                name = f"{scope}/{name}"
            names[node.name] = name
            attr = {key: value for key, value in node.attr.items() if not key.startswith("_")}
            self.nodes[name] = node_def_pb2.NodeDef(name=name, op=node.op, attr=attr)
            function = node.attr["f"].func.name if node.op in _CALLS else node.op
            if function in self._library:
                calls[node.name] = self._library[function]
                self._calls.add(name)
        for node in originals.values():
            given = [resolve(tensor) for tensor in node.input if not tensor.startswith("^")]
            self.nodes[names[node.name]].input.extend(given)
            if node.name in calls:
                self._call(calls[node.name], names[node.name], given)
        return resolve

    def _call(self, function: function_pb2.FunctionDef, name: str, given: Iterable[str]) -> None:
        """Add the nodes of a function that is called, and one for each of the call's outputs."""
        arguments = [argument.name for argument in function.signature.input_arg]
        resolve = self._add(function.node_def, dict(zip(arguments, given, strict=True)), name)
        for number, output in enumerate(function.signature.output_arg):
            passed = node_def_pb2.NodeDef(name=_output(name, number), op="Identity")
            passed.input.append(resolve(function.ret[output.name]))
            passed.attr["T"].type = output.type
            self.nodes[passed.name] = passed


def _operation(tensor: str) -> str:
    return tensor.split(":")[0]


def _output(call: str, number: int) -> str:
    # Nobody gives an operation such a name.
    return f"{call}>{number}"


def _first(node: node_def_pb2.NodeDef, output: str) -> int:
    """Return the number of the first tensor of an output that has a name, as all have in a function."""
    number = 0
    for argument in op_def_registry.get(node.op).output_arg:
        if argument.name == output:
            break
        if argument.number_attr:
            number += node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            number += len(node.attr[argument.type_list_attr].list.type)
        else:
            number += 1
    return number
