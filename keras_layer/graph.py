"""Run a function of a SavedModel operation by operation.

What it does is then part of whatever calls it: gradients lead from each of its tensors to each other,
and XLA, distribution strategies and TensorFlow's optimizer see operations, not a call.
"""

from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2

from slimhub.signatures.contract import formats
from slimhub.signatures.module.module import ancestors
from slimhub.support.tf_private import op_def_registry

UPDATE = "AssignSubVariableOp"
READ = "ReadVariableOp"
RANDOM = "RandomUniform"
# Operations that a network may have. None of them reaches a file, a network or Python.
_OPERATIONS = formats.TF2_SAVED_MODEL.operations["serve",] - {
    *("PartitionedCall", "StatefulPartitionedCall", "VarHandleOp", "AssignVariableOp"),
}
# Arguments that `tf.raw_ops` calls otherwise than the operation's definition.
_RENAMED = {("Mean", "reduction_indices"): "axis", ("Squeeze", "squeeze_dims"): "axis"}


class FunctionGraph:
    """The operations of a function, of those that networks have.

    Attributes:
      function: the function.
      arguments: names of its arguments, in order.

    Raises:
      ValueError: there is another operation.
    """

    def __init__(self, function: function_pb2.FunctionDef):
        self.function = function
        self.arguments = [argument.name for argument in function.signature.input_arg]
        self._nodes = {node.name: node for node in function.node_def}
        others = sorted({node.op for node in function.node_def} - _OPERATIONS)
        if others:
            raise ValueError(f"expected operations of a network, got {', '.join(others)}")

    def run(
        self,
        arguments: Mapping[str, tf.Tensor],
        *,
        fetches: Iterable[str],
        read: Callable[[str], tf.Tensor],
        update: Callable[[str, tf.Tensor], object],
        draw: Callable[[tf.Tensor], tf.Tensor],
    ) -> list[tf.Tensor]:
        """Run the function once, with all of its updates.

        Args:
          arguments: tensors by the names of arguments, without variables.
          fetches: names of tensors, `Scope/Op:0`.
          read: function that returns the value of the variable that an argument is.
          update: function that subtracts a tensor from that variable.
          draw: function that returns float32 random numbers in [0, 1) of a shape.

        Returns:
          The tensors of `fetches`.
        """
        fetches = list(fetches)
        updates = [node.name for node in self._nodes.values() if node.op == UPDATE]
        needed = ancestors(self._nodes, *fetches, *updates)
        results = dict(arguments)
        for node in self._nodes.values():
            if node.name not in needed or node.op == "NoOp":
                continue
            inputs = [name for name in node.input if not name.startswith("^")]
            if node.op == READ:
                results[node.name] = read(inputs[0])
            elif node.op == UPDATE:
                update(inputs[0], _find(results, inputs[1]))
            elif node.op == RANDOM:
                results[node.name] = draw(_find(results, inputs[0]))
            else:
                results[node.name] = _run(node, [_find(results, name) for name in inputs])
        return [_find(results, name.removesuffix(":0")) for name in fetches]


def _find(results: Mapping[str, tf.Tensor | tuple], tensor: str) -> tf.Tensor:
    """Return a tensor by its name in a function: that of an argument, or `operation:output:number`."""
    operation, *output = tensor.split(":")
    result = results[operation]
    if isinstance(result, tuple):
        # An operation of several outputs, which have names; without one, it is the first.
        return getattr(result, output[0]) if output else result[0]
    return result


def _run(node: node_def_pb2.NodeDef, inputs: list[tf.Tensor]) -> tf.Tensor | tuple:
    if node.op == "Const":
        return tf.constant(tf.make_ndarray(node.attr["value"].tensor))
    definition = op_def_registry.get(node.op)
    arguments, given = {}, iter(inputs)
    # What follows from the inputs is not given.
    implied = set()
    for argument in definition.input_arg:
        implied |= {argument.type_attr, argument.number_attr}
        number = argument.number_attr and node.attr[argument.number_attr].i
        arguments[argument.name] = [next(given) for _ in range(number)] if number else next(given)
    for attr in definition.attr:
        if attr.name in node.attr and attr.name not in implied:
            arguments[attr.name] = _to_python(node.attr[attr.name])
    arguments = {_RENAMED.get((node.op, name), name): value for name, value in arguments.items()}
    return getattr(tf.raw_ops, node.op)(**arguments)


def _to_python(attr: attr_value_pb2.AttrValue):
    kind = attr.WhichOneof("value")
    value = getattr(attr, kind)
    if kind == "type":
        return tf.as_dtype(value)
    if kind == "list":
        return [*value.i, *value.f, *value.s, *value.b]
    return value.decode() if kind == "s" else value
