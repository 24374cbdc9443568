"""A module directory with its graphs and its variables, which `Directory` doesn't read."""

import collections
import functools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import (
    meta_graph_pb2,
    saved_model_pb2,
    trackable_object_graph_pb2,
)

from slimhub.signatures.contract.network import tensor_type
from slimhub.signatures.module.directory import Directory, UnreadableError

# The key under which TensorFlow 2 stores the object graph in a checkpoint.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Bytes of variables that are read at once. Most networks have fewer.
_PORTION = 128 << 20


class Module(Directory):
    """A directory that may be a module, with its graphs and variables."""

    @functools.cached_property
    def saved_model(self) -> saved_model_pb2.SavedModel:
        """Return the parsed `saved_model.pb`, which has at least one meta graph."""
        if "saved_model.pb" not in self.files:
            raise UnreadableError(f"{self.directory} is no module: it has no saved_model.pb")
        try:
            saved_model = saved_model_pb2.SavedModel.FromString(self.read("saved_model.pb"))
        except message.DecodeError as error:
            raise UnreadableError(f"saved_model.pb is no SavedModel: {error}") from error
        # An empty file can be parsed, as many others that are no SavedModel.
        if not saved_model.meta_graphs:
            raise UnreadableError("saved_model.pb is no SavedModel: it has no meta graphs")
        return saved_model

    @property
    def meta_graphs(self) -> dict[tuple[str, ...], meta_graph_pb2.MetaGraphDef]:
        """Return the meta graphs by tag set, in the order on disk."""
        return {tuple(graph.meta_info_def.tags): graph for graph in self.saved_model.meta_graphs}

    @functools.cached_property
    def checkpoint(self):
        """Return a `tf.train.CheckpointReader` of the variables."""
        # Without an index, TensorFlow would look for other kinds of checkpoints, even elsewhere.
        if "variables/variables.index" not in self.files:
            raise UnreadableError("variables/ is no checkpoint: it has no variables.index")
        try:
            prefix = str(self.directory / "variables" / "variables")
            return tf.compat.v1.train.NewCheckpointReader(prefix)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UnreadableError(f"variables/ is no checkpoint: {error}") from error

    @functools.cached_property
    def _keys(self) -> dict[str, str]:
        """Return the checkpoint's key of each variable: its name, or a path in TensorFlow 2's object graph."""
        try:
            shapes = self.checkpoint.get_variable_to_shape_map()
            if _OBJECT_GRAPH not in shapes:
                return {name: name for name in shapes}
            serialized = self.checkpoint.get_tensor(_OBJECT_GRAPH)
            graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(serialized)
        except (tf.errors.OpError, message.DecodeError, ValueError, TypeError) as error:
            raise UnreadableError(f"variables/ has no readable object graph: {error}") from error
        attributes = [attribute for node in graph.nodes for attribute in node.attributes]
        keys = {attribute.full_name: attribute.checkpoint_key for attribute in attributes}
        absent = sorted(set(keys.values()) - shapes.keys())
        if absent:
            raise UnreadableError(f"variables/ lacks what its object graph names: {absent[0]}")
        return keys

    @functools.cached_property
    def variables(self) -> dict[str, str]:
        """Return the type of each variable on disk, in the words of `tensor_type`."""
        dtypes = self.checkpoint.get_variable_to_dtype_map()
        shapes = self.checkpoint.get_variable_to_shape_map()
        keys = set(self._keys.values())
        declared = sum(math.prod(shapes[key]) * dtypes[key].size for key in keys)
        data = [name for name in self.files if name.startswith("variables/variables.data-")]
        stored = sum(map(self.size, data))
        # TensorFlow would allocate the declared bytes before it reads.
        if declared > stored:
            raise UnreadableError(f"variables/ declares {declared} bytes, and has {stored}")
        return {
            name: tensor_type(dtypes[key].name, shapes[key]) for name, key in self._keys.items()
        }

    @functools.cached_property
    def num_parameters(self) -> int:
        """Return how many numbers all float32 variables on disk have."""
        dtypes = self.checkpoint.get_variable_to_dtype_map()
        shapes = self.checkpoint.get_variable_to_shape_map()
        return sum(
            math.prod(shapes[key]) for key in set(self._keys.values()) if dtypes[key] == tf.float32
        )

    def portions(self, names: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yield variables on disk by name, some at once, so that large ones aren't in memory together."""
        shapes = self.checkpoint.get_variable_to_shape_map()
        portion: dict[str, np.ndarray] = {}
        num_bytes = 0
        for name in sorted(names):
            size = 4 * math.prod(shapes[self._keys[name]])
            if portion and num_bytes + size > _PORTION:
                yield portion
                portion, num_bytes = {}, 0
            num_bytes += size
            portion[name] = self.read_variable(name)
        if portion:
            yield portion

    def read_variable(self, name: str) -> np.ndarray:
        """Return a variable on disk. Raise whatever TensorFlow raises if it can't be read."""
        return self.checkpoint.get_tensor(self._keys[name])


def collection(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> meta_graph_pb2.CollectionDef:
    """Return a meta graph's collection; an empty one if there is none of that name."""
    # Indexing a protobuf map with a missing key would add the key.
    definitions = meta_graph.collection_def
    return definitions[name] if name in definitions else meta_graph_pb2.CollectionDef()


def all_nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[node_def_pb2.NodeDef]:
    """Yield the nodes of a meta graph's graph, and those of its functions."""
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def dependents(nodes: Mapping[str, node_def_pb2.NodeDef], sources: Collection[str]) -> set[str]:
    """Return the names of the nodes whose values depend on the sources' values, and of the sources."""
    readers = collections.defaultdict(list)
    for node in nodes.values():
        for given in node.input:
            # Control inputs keep their `^`, so no name equals them: values don't depend on them.
            readers[given.split(":")[0]].append(node.name)
    seen, waiting = set(), list(sources)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(readers[name])
    return seen


def ancestors(nodes: Mapping[str, node_def_pb2.NodeDef], *tensors: str) -> set[str]:
    """Return the names of the nodes that tensors or operations depend on, including their own nodes."""
    seen, waiting = set(), list(tensors)
    while waiting:
        name = waiting.pop().removeprefix("^").split(":")[0]
        if name not in seen and name in nodes:
            seen.add(name)
            waiting.extend(nodes[name].input)
    return seen


def type_of(number: int, shape) -> str:
    """Return the type of a `DataType` number and a `TensorShapeProto`, in the words of `tensor_type`."""
    try:
        dtype = tf.as_dtype(number).name
    except TypeError:
        dtype = f"dtype {number}"
    if shape.unknown_rank:
        return f"{dtype} of unknown rank"
    return tensor_type(dtype, [None if dim.size == -1 else dim.size for dim in shape.dim])
