"""A module directory, read: its protos, its variables, its provenance."""

import contextlib
import functools
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import (
    meta_graph_pb2,
    saved_model_pb2,
    trackable_object_graph_pb2,
)

from slimhub.signatures import formats, provenance
from slimhub.signatures.interface import tensor_type
from slimhub.signatures.provenance import File

# What TensorFlow 2 keeps in a checkpoint beside the variables.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# A module has less than ten.
_MOST_FILES = 100
# Of a file that is read at once. The largest SavedModel has 3 MB, and takes many times that in memory.
_MOST_BYTES = 64 << 20
# Of the provenance, which has less than 20 kB.
_MOST_BYTES_OF_PROVENANCE = 1 << 20


class UnreadableError(Exception):
    """The directory is no SavedModel, a file in it can't be parsed, or what is in it makes no sense."""


class Module:
    """A directory that may be a module. What it holds is read when it is asked for.

    Attributes:
      directory: where it is.

    Raises:
      UnreadableError: from every other attribute, saying which file is wrong and how.
    """

    def __init__(self, directory: Path):
        self.directory = directory

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of all files, relative and sorted. A link, a pipe or a device is no file."""
        # Unlike `Path.is_dir`, it takes any name.
        if not os.path.isdir(self.directory):
            raise UnreadableError(f"{self.directory} is not a directory")
        files = []
        with _reading(str(self.directory)):
            for number, entry in enumerate(_below(self.directory)):
                name = Path(entry.path).relative_to(self.directory).as_posix()
                if number == _MOST_FILES:
                    raise UnreadableError(f"{self.directory} holds more than {_MOST_FILES} files")
                if entry.is_file(follow_symlinks=False):
                    files.append(name)
                # What it leads to may be anywhere, and reading it may never end.
                elif not entry.is_dir(follow_symlinks=False):
                    raise UnreadableError(
                        f"{name} is neither a file nor a directory, but a link or a device"
                    )
        return tuple(sorted(files))

    def file(self, name: str) -> File:
        """One of `files`, with its size and its sum."""
        with _reading(name):
            return File.read(self.directory / name, name=name)

    def size(self, name: str) -> int:
        """Bytes of one of `files`."""
        with _reading(name):
            return (self.directory / name).stat().st_size

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

    def read_variable(self, name: str) -> np.ndarray:
        """A variable on disk. Raises whatever TensorFlow raises for one that it can't read."""
        return self.checkpoint.get_tensor(self._keys[name])

    @functools.cached_property
    def provenance(self) -> provenance.Provenance:
        if formats.PROVENANCE not in self.files:
            raise UnreadableError(
                f"there is no {formats.PROVENANCE}, which says what the module promises"
            )
        try:
            text = self.read(formats.PROVENANCE, most=_MOST_BYTES_OF_PROVENANCE).decode()
            return provenance.from_json(text)
        except ValueError as error:
            raise UnreadableError(f"{formats.PROVENANCE} is malformed: {error}") from error

    def read(self, name: str, *, most: int = _MOST_BYTES) -> bytes:
        """Content of one of `files`, of so many bytes at most; not for the variables."""
        with _reading(name):
            path = self.directory / name
            if path.stat().st_size > most:
                raise UnreadableError(f"{name} has more than {most} bytes")
            return path.read_bytes()


def _below(directory: Path) -> Iterator[os.DirEntry]:
    """Everything in a directory, however deep, and as it comes: there may be no end of it."""
    waiting = [os.fspath(directory)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnreadableError(f"{name} can't be read: {error}") from error


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
