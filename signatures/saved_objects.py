"""Reads a TF2 SavedModel without loading it: its objects, its functions, and how they are wired."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2, struct_pb2

from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.graph_checks import type_of

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_MAIN_GRAPH = ""


class Objects:
    """The objects that TensorFlow 2 would load.

    Attributes:
      root: what `tf.saved_model.load` gives.

    Raises:
      UnreadableError: from the constructor and from all methods, if an object names another, or a
        function, that is not there.
    """

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef):
        self._graph = meta_graph.object_graph_def
        self.root = self._object(0)

    def function(self, name: str) -> saved_object_graph_pb2.SavedFunction | None:
        """The function that is that attribute of the root."""
        found = self.child(name)
        return found.function if found is not None and found.HasField("function") else None

    def members(self, name: str) -> list[saved_object_graph_pb2.SavedObject]:
        """Those of the list that is that attribute of the root."""
        found = self.child(name)
        children = [] if found is None else found.children
        return [self._object(child.node_id) for child in children]

    def traces(self, function: saved_object_graph_pb2.SavedFunction) -> Iterator[tuple]:
        """Name, inputs and outputs of each concrete function, in Python, tensors as their types."""
        for name in function.concrete_functions:
            concrete = self._concrete(name)
            arguments = to_python(concrete.canonicalized_input_signature)
            if type(arguments) is not tuple or len(arguments) != 2:
                raise UnreadableError(f"{name}: expected arguments and keywords, got {arguments}")
            yield name, arguments[0], to_python(concrete.output_signature)

    def captured(self, function: saved_object_graph_pb2.SavedFunction) -> list[str]:
        """Names of the variables behind a function."""
        concrete = [self._concrete(name) for name in function.concrete_functions]
        inputs = {number for one in concrete for number in one.bound_inputs}
        return sorted(self._object(number).variable.name for number in inputs)

    def concrete_functions(self) -> dict[str, list[str]]:
        """By name, the variables behind each, in the order of the arguments that they are."""
        return {
            name: [self._object(number).variable.name for number in concrete.bound_inputs]
            for name, concrete in self._graph.concrete_functions.items()
        }

    def child(self, name: str) -> saved_object_graph_pb2.SavedObject | None:
        """That attribute of the root."""
        for child in self.root.children:
            if child.local_name == name:
                return self._object(child.node_id)
        return None

    def _object(self, number: int) -> saved_object_graph_pb2.SavedObject:
        if not 0 <= number < len(self._graph.nodes):
            raise UnreadableError(f"there is no object {number}, of {len(self._graph.nodes)}")
        return self._graph.nodes[number]

    def _concrete(self, name: str) -> saved_object_graph_pb2.SavedConcreteFunction:
        # Indexing a protobuf map by a missing key would add it.
        if name not in self._graph.concrete_functions:
            raise UnreadableError(f"there is no concrete function {name}")
        return self._graph.concrete_functions[name]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where a tensor comes from.

    Attributes:
      function: the function that makes it; empty for the main graph.
      node: the operation there, or the function's argument.
      calls: the calls that lead there, the outermost first: each the caller's name and node.
    """

    function: str
    node: str
    calls: tuple[tuple[str, node_def_pb2.NodeDef], ...]


class Wiring:
    """The functions of a SavedModel, and what leads from one to the other.

    Raises:
      UnreadableError: from all methods, if that leads nowhere, or in a circle.
    """

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef):
        functions = meta_graph.graph_def.library.function
        self._functions = {function.signature.name: function for function in functions}
        self._arguments = {
            name: [argument.name for argument in function.signature.input_arg]
            for name, function in self._functions.items()
        }
        self._nodes = {
            name: {node.name: node for node in function.node_def}
            for name, function in self._functions.items()
        }
        self._nodes[_MAIN_GRAPH] = {node.name: node for node in meta_graph.graph_def.node}

    def networks(self) -> dict[str, function_pb2.FunctionDef]:
        """Functions that hold the network itself."""
        return {
            name: function
            for name, function in self._functions.items()
            if any(node.op == "Conv2D" for node in function.node_def)
        }

    def outputs(self, function: str) -> list[Source]:
        """Where the outputs of a function come from."""
        definition = self._function(function)
        return [
            self.source(self._returned(function, str(index)), function)
            for index in range(len(definition.signature.output_arg))
        ]

    def source(self, tensor: str, function: str = _MAIN_GRAPH) -> Source:
        """Where a tensor of a function comes from, through calls and identities."""
        calls: list[tuple[str, node_def_pb2.NodeDef]] = []
        seen = set()
        while (function, tensor) not in seen:
            seen.add((function, tensor))
            # `name:index` in the main graph, `name:output:index` in a function, or just `name`.
            name, *place = tensor.split(":")
            node = self._nodes[function].get(name)
            if node is not None and node.op == "Identity":
                tensor = _input(node, 0, function)
            elif node is not None and node.op in _CALLS:
                calls.append((function, node))
                function = node.attr["f"].func.name
                tensor = self._returned(function, place[-1] if place else "0")
            else:
                return Source(function=function, node=name, calls=tuple(calls))
        raise UnreadableError(f"{tensor} of {function or 'the graph'} depends on itself")

    def variables(self, source: Source) -> list[node_def_pb2.NodeDef | str | None]:
        """What `argument` gives for each variable of the function that a tensor comes from."""
        return [self.argument(source, name) for name in self.handles(source.function)]

    def handles(self, function: str) -> list[str]:
        """The arguments of a function that are variables."""
        arguments = self._function(function).signature.input_arg
        return [argument.name for argument in arguments if argument.type == types_pb2.DT_RESOURCE]

    def argument(self, source: Source, name: str) -> node_def_pb2.NodeDef | str | None:
        """What the outermost caller gives for an argument of the function that a tensor comes from.

        Returns:
          A node there, or the name of the caller's own argument; None if there is no such argument.
        """
        function, argument = source.function, name
        for caller, node in reversed(source.calls):
            names = self._arguments[function]
            if argument not in names:
                return None
            found = self.source(_input(node, names.index(argument), caller), caller)
            if found.node in self._nodes[caller]:
                return self._nodes[caller][found.node]
            function, argument = caller, found.node
        return argument

    def _function(self, name: str) -> function_pb2.FunctionDef:
        if name not in self._functions:
            raise UnreadableError(f"there is no function {name}")
        return self._functions[name]

    def _returned(self, function: str, index: str) -> str:
        """The tensor of a function that is its output of that number."""
        called = self._function(function)
        outputs = [output.name for output in called.signature.output_arg]
        if not index.isdecimal() or int(index) >= len(outputs):
            raise UnreadableError(f"{function}: there is no output {index}, of {len(outputs)}")
        name = outputs[int(index)]
        if name not in called.ret:
            raise UnreadableError(f"{function}: its output {name} is not returned")
        return called.ret[name]


def _input(node: node_def_pb2.NodeDef, index: int, function: str) -> str:
    if index >= len(node.input):
        where = function or "the graph"
        raise UnreadableError(f"{node.name} of {where}: there is no input {index}")
    return node.input[index]


def given_variables(
    meta_graph: meta_graph_pb2.MetaGraphDef,
) -> Iterator[tuple[str, str, tuple[str | None, ...]]]:
    """Of each call of a network, by a signature in the main graph or by a function of an object:
    its name, that of the network, and names of the variables that the network gets."""
    wiring = Wiring(meta_graph)
    for name, signature in meta_graph.signature_def.items():
        sources = [wiring.source(info.name) for info in signature.outputs.values()]
        for source in _network_calls(wiring, sources):
            yield name, source.function, tuple(map(name_of, wiring.variables(source)))
    for name, behind in Objects(meta_graph).concrete_functions().items():
        handles = wiring.handles(name)
        if len(handles) != len(behind):
            raise UnreadableError(f"{name}: {len(behind)} variables for {len(handles)} arguments")
        names = dict(zip(handles, behind, strict=True))
        for source in _network_calls(wiring, wiring.outputs(name)):
            found = map(name_of, wiring.variables(source))
            yield name, source.function, tuple(map(names.get, found))


def _network_calls(wiring: Wiring, sources: list[Source]) -> list[Source]:
    """One source for each call of a network that sources lead through."""
    networks = wiring.networks()
    calls = {
        (source.function, *(node.name for _, node in source.calls)): source
        for source in sources
        if source.function in networks
    }
    return list(calls.values())


def is_training(function: function_pb2.FunctionDef) -> bool | None:
    """Whether the batch norms of a network use the statistics of the batch; None if some do.

    Without batch norm, whether there is dropout.
    """
    found = {
        # The default, which is not written, is true.
        "is_training" not in node.attr or node.attr["is_training"].b
        for node in function.node_def
        if node.op == "FusedBatchNormV3"
    }
    if not found:
        return any(node.op == "RandomUniform" for node in function.node_def)
    return found.pop() if len(found) == 1 else None


def constant(node: node_def_pb2.NodeDef, shape: tuple[int, ...]) -> np.ndarray | None:
    """The value of a constant; None if it is not a constant of float32 of that shape.

    Others are not looked at: whatever shape they declare would be filled.
    """
    if node.op != "Const" or "value" not in node.attr:
        return None
    tensor = node.attr["value"].tensor
    declared = None if tensor.tensor_shape.unknown_rank else tensor.tensor_shape.dim
    if tensor.dtype != types_pb2.DT_FLOAT or declared is None:
        return None
    if tuple(dim.size for dim in declared) != shape:
        return None
    if len(tensor.tensor_content) == 4 * math.prod(shape):
        return np.frombuffer(tensor.tensor_content, np.float32).reshape(shape)
    # What is left out at the end is as the last one.
    values = [*tensor.float_val] or [0.0]
    values += values[-1:] * (math.prod(shape) - len(values))
    return np.array(values[: math.prod(shape)], np.float32).reshape(shape)


def name_of(given: node_def_pb2.NodeDef | str | None) -> str | None:
    """The name of what `Wiring.argument` gives."""
    return given.name if isinstance(given, node_def_pb2.NodeDef) else given


def to_python(value: struct_pb2.StructuredValue):
    """A value as Python has it; a tensor is its type."""
    kind = value.WhichOneof("kind")
    if kind is None:
        raise UnreadableError("there is no value where a function is described")
    found = getattr(value, kind)
    if kind == "none_value":
        return None
    if kind in ("list_value", "tuple_value"):
        return (list if kind == "list_value" else tuple)(map(to_python, found.values))
    if kind == "dict_value":
        return {key: to_python(one) for key, one in found.fields.items()}
    if kind == "named_tuple_value":
        return {pair.key: to_python(pair.value) for pair in found.values}
    if kind == "tensor_spec_value":
        return type_of(found.dtype, found.shape)
    return found
