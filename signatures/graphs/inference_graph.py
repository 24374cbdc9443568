"""The graph of inference, flat: whatever names a module gives, it can be searched and run up to any tensor."""

import collections
import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from slimhub.signatures.graphs.flat import RANDOM, FlatGraph
from slimhub.signatures.module import execution
from slimhub.signatures.module.module import ancestors

# Operations that weigh their inputs: before the first of them, images are only prepared.
_LAYERS = ("Conv2D", "DepthwiseConv2dNative", "Conv3D", "MatMul", "BatchMatMulV2", "Einsum")
# Operations that move the images' values, and change none.
_MOVES = ("Pad", "PadV2", "MirrorPad", "Transpose", "Identity")
# Operations that make probabilities of logits.
PROBABILITIES = ("Softmax", "Sigmoid")


class InferenceGraph:
    """A graph without functions.

    Attributes:
      images: name of the tensor that images are fed to.
      outputs: names of tensors by output key.
    """

    def __init__(self, session: tf.compat.v1.Session, *, images: str, outputs: Mapping[str, str]):
        self.images, self.outputs = images, outputs
        self._session = session
        self._nodes = {node.name: node for node in session.graph.as_graph_def().node}

    def run(self, tensor: str, images: np.ndarray) -> np.ndarray:
        """Run the graph up to a tensor on float32 images, `[batch, height, width, 3]`."""
        return self._session.run(tensor, {self.images: images})

    def prepared_images(self) -> list[str]:
        """Return the names of the tensors that the first layers take, before any padding, sorted."""
        readers = collections.defaultdict(list)
        for node in self._nodes.values():
            for tensor in _tensors(node):
                readers[_operation(tensor)].append(node)
        found, seen, waiting = set(), set(), [_operation(self.images)]
        while waiting:
            name = waiting.pop()
            for node in readers[name]:
                if node.op in _LAYERS:
                    if _operation(node.input[0]) == name:
                        found.add(self._before_moves(node.input[0]))
                elif node.name not in seen:
                    seen.add(node.name)
                    waiting.append(node.name)
        return sorted(found)

    def probabilities_behind(self, tensor: str) -> list[str]:
        """Return the operations after the last layer before a tensor that make probabilities, sorted."""
        nodes = after_last_layer(self._nodes, tensor)
        return sorted(node.name for node in nodes if node.op in PROBABILITIES)

    def draws_behind(self, tensor: str) -> list[str]:
        """Return the operations that draw random numbers for a tensor, sorted."""
        names = ancestors(self._nodes, tensor)
        return sorted(name for name in names if RANDOM.search(self._nodes[name].op))

    def draws_after_last_layer(self, tensor: str) -> list[str]:
        """Return those of `draws_behind` that are after the last layer."""
        nodes = after_last_layer(self._nodes, tensor)
        return sorted(node.name for node in nodes if RANDOM.search(node.op))

    def _before_moves(self, tensor: str) -> str:
        while (node := self._nodes[_operation(tensor)]).op in _MOVES and node.input:
            tensor = node.input[0]
        return tensor if ":" in tensor else f"{tensor}:0"


@contextlib.contextmanager
def traced(call: Callable, *, image_type: tf.TensorSpec) -> Iterator[InferenceGraph]:
    """Trace a function of images; the graph can be run up to the first layers, as it has no weights.

    Args:
      call: function that returns a dictionary of tensors.
      image_type: of the images.
    """
    function = tf.function(call, autograph=False).get_concrete_function(image_type)
    graph = FlatGraph(function.graph.as_graph_def())
    outputs = zip(sorted(function.structured_outputs), function.outputs, strict=True)
    tensors = {key: graph.computed(tensor.name) for key, tensor in outputs}
    with opened(graph, images=function.inputs[0].name, outputs=tensors) as found:
        yield found


@contextlib.contextmanager
def opened(
    graph: FlatGraph, *, images: str, outputs: Mapping[str, str]
) -> Iterator[InferenceGraph]:
    """Open a session of a graph; its variables have no values."""
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(graph.graph_def(), name="")
    with contextlib.closing(execution.session(imported)) as session:
        yield InferenceGraph(session, images=images, outputs=outputs)


def after_last_layer(
    nodes: Mapping[str, node_def_pb2.NodeDef], tensor: str
) -> Iterator[node_def_pb2.NodeDef]:
    """Yield the operations that a tensor depends on, back to the last layers before it."""
    seen, waiting = set(), [_operation(tensor)]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in seen and nodes[name].op not in _LAYERS:
            seen.add(name)
            yield nodes[name]
            waiting.extend(map(_operation, _tensors(nodes[name])))


def _tensors(node: node_def_pb2.NodeDef) -> list[str]:
    """Return the names of the tensors that an operation takes, without its control inputs."""
    return [name for name in node.input if not name.startswith("^")]


def _operation(tensor: str) -> str:
    return tensor.split(":")[0]
