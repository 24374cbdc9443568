"""A module directory, read: its protos and its variables, beside what `Directory` reads."""

import functools
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import (
    meta_graph_pb2,
    saved_model_pb2,
    trackable_object_graph_pb2,
)

from slimhub.signatures.directory import Directory, UnreadableError
from slimhub.signatures.interface import tensor_type

# What TensorFlow 2 keeps in a checkpoint beside the variables.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Bytes of variables that are read at a time. Most networks have less.
_PORTION = 128 << 20


class Module(Directory):
    """A directory that may be a module, its graphs and variables included."""

    @functools.cached_property
    def saved_model(self) -> saved_model_pb2.SavedModel:
        if "saved_model.pb" not in self.files:
            raise UnreadableError(f"{self.directory} is no module: it has no saved_model.pb")
        try:
            saved_model = saved_model_pb2.SavedModel.FromString(self.read("saved_model.pb"))
        except message.DecodeError as error:
            raise UnreadableError(f"saved_model.pb is no SavedModel: {error}") from error
        # No bytes at all can be parsed, and many others.
        if not saved_model.meta_graphs:
            raise UnreadableError("saved_model.pb is no SavedModel: it has no meta graphs")
        return saved_model

    @property
    def meta_graphs(self) -> dict[tuple[str, ...], meta_graph_pb2.MetaGraphDef]:
        """By tag set, in their order."""
        return {tuple(graph.meta_info_def.tags): graph for graph in self.saved_model.meta_graphs}

    @functools.cached_property
    def checkpoint(self):
        """A `tf.train.CheckpointReader` of the variables."""
        # Without it, TensorFlow would look for other kinds of checkpoints, even elsewhere.
        if "variables/variables.index" not in self.files:
            raise UnreadableError("variables/ is no checkpoint: it has no variables.index")
        try:
            prefix = str(self.directory / "variables" / "variables")
            return tf.compat.v1.train.NewCheckpointReader(prefix)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UnreadableError(f"variables/ is no checkpoint: {error}") from error

    @functools.cached_property
    def _keys(self) -> dict[str, str]:
        """What the checkpoint calls each variable: by its name, or as TensorFlow 2 does."""
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
        """Type of each variable on disk, as `tensor_type` has it."""
        dtypes = self.checkpoint.get_variable_to_dtype_map()
        shapes = self.checkpoint.get_variable_to_shape_map()
        keys = set(self._keys.values())
        declared = sum(math.prod(shapes[key]) * dtypes[key].size for key in keys)
        data = [name for name in self.files if name.startswith("variables/variables.data-")]
        there = sum(map(self.size, data))
        # TensorFlow would make room for them before it reads.
        if declared > there:
            raise UnreadableError(f"variables/ declares {declared} bytes, and has {there}")
        return {
            name: tensor_type(dtypes[key].name, shapes[key]) for name, key in self._keys.items()
        }

    @functools.cached_property
    def num_parameters(self) -> int:
        """Numbers in all variables on disk that are float32."""
        dtypes = self.checkpoint.get_variable_to_dtype_map()
        shapes = self.checkpoint.get_variable_to_shape_map()
        return sum(
            math.prod(shapes[key]) for key in set(self._keys.values()) if dtypes[key] == tf.float32
        )

    def portions(self, names: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
        """Variables on disk, some at a time, so that large ones are not in memory together."""
        shapes = self.checkpoint.get_variable_to_shape_map()
        portion: dict[str, np.ndarray] = {}
        num_bytes = 0
        for name in sorted(names):
            own = 4 * math.prod(shapes[self._keys[name]])
            if portion and num_bytes + own > _PORTION:
                yield portion
                portion, num_bytes = {}, 0
            num_bytes += own
            portion[name] = self.read_variable(name)
        if portion:
            yield portion

    def read_variable(self, name: str) -> np.ndarray:
        """A variable on disk. Raises whatever TensorFlow raises for one that it can't read."""
        return self.checkpoint.get_tensor(self._keys[name])


def collection(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> meta_graph_pb2.CollectionDef:
    """The collection of that name; an empty one if there is none."""
    # Indexing a protobuf map by a missing key would add it.
    definitions = meta_graph.collection_def
    return definitions[name] if name in definitions else meta_graph_pb2.CollectionDef()


def all_nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[node_def_pb2.NodeDef]:
    """The nodes of its graph and of its functions."""
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def ancestors(nodes: Mapping[str, node_def_pb2.NodeDef], tensor: str) -> set[str]:
    """Names of the nodes that a tensor depends on, its own among them."""
    seen, waiting = set(), [tensor]
    while waiting:
        name = waiting.pop().removeprefix("^").split(":")[0]
        if name not in seen and name in nodes:
            seen.add(name)
            waiting.extend(nodes[name].input)
    return seen
