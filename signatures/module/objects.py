"""Reads a TF2 SavedModel without loading it: its objects and its functions."""

import math
from collections.abc import Iterator

import numpy as np
from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2, struct_pb2

from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import type_of


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
        """Return the function that is that attribute of the root; None if there is none."""
        found = self.child(name)
        return found.function if found is not None and found.HasField("function") else None

    def members(self, name: str) -> list[saved_object_graph_pb2.SavedObject]:
        """Return the members of the list that is that attribute of the root."""
        found = self.child(name)
        children = [] if found is None else found.children
        return [self._object(child.node_id) for child in children]

    def traces(self, function: saved_object_graph_pb2.SavedFunction) -> Iterator[tuple]:
        """Yield name, inputs and outputs of each concrete function, in Python, tensors as their types."""
        for name in function.concrete_functions:
            concrete = self._concrete(name)
            arguments = to_python(concrete.canonicalized_input_signature)
            if type(arguments) is not tuple or len(arguments) != 2:
                raise UnreadableError(f"{name}: expected arguments and keywords, got {arguments}")
            yield name, arguments[0], to_python(concrete.output_signature)

    def captured(self, function: saved_object_graph_pb2.SavedFunction) -> list[str]:
        """Return the names of the variables behind a function, sorted."""
        concrete = [self._concrete(name) for name in function.concrete_functions]
        inputs = {number for one in concrete for number in one.bound_inputs}
        return sorted(self._object(number).variable.name for number in inputs)

    def child(self, name: str) -> saved_object_graph_pb2.SavedObject | None:
        """Return that attribute of the root; None if there is none."""
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


def network_functions(
    meta_graph: meta_graph_pb2.MetaGraphDef,
) -> dict[str, function_pb2.FunctionDef]:
    """Return the functions that hold the network itself, by name."""
    return {
        function.signature.name: function
        for function in meta_graph.graph_def.library.function
        if any(node.op == "Conv2D" for node in function.node_def)
    }


def operations_behind(meta_graph: meta_graph_pb2.MetaGraphDef, function: str) -> set[str]:
    """Return all operations that a function has, or another function that it calls."""
    library = {one.signature.name: one for one in meta_graph.graph_def.library.function}
    operations: set[str] = set()
    seen, waiting = set(), [function]
    while waiting:
        name = waiting.pop()
        if name in library and name not in seen:
            seen.add(name)
            operations.update(node.op for node in library[name].node_def)
            waiting += [
                node.attr["f"].func.name for node in library[name].node_def if "f" in node.attr
            ]
    return operations


def is_training(function: function_pb2.FunctionDef) -> bool | None:
    """Return whether the batch norms of a network use the statistics of the batch; None if some do.

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
    """Return the value of a constant; None if it is not a constant of float32 of that shape.

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


def to_python(value: struct_pb2.StructuredValue):
    """Return a value as Python has it; a tensor as its type."""
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
