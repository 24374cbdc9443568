"""A module directory, read: its protos, its variables, its provenance."""

import functools
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from slimhub.signatures import contract, provenance


class UnreadableError(Exception):
    """The directory is no SavedModel, or a file in it can't be parsed."""


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
        """Paths of all files, relative and sorted."""
        if not self.directory.is_dir():
            raise UnreadableError(f"{self.directory} is not a directory")
        paths = self.directory.rglob("*")
        files = (path for path in paths if path.is_symlink() or not path.is_dir())
        return tuple(sorted(path.relative_to(self.directory).as_posix() for path in files))

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
        try:
            return tf.train.load_checkpoint(str(self.directory / "variables" / "variables"))
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UnreadableError(f"variables/ is no checkpoint: {error}") from error

    @property
    def variables(self) -> dict[str, str]:
        """Type of each variable on disk, as `contract.tensor_type` has it."""
        dtypes = self.checkpoint.get_variable_to_dtype_map()
        shapes = self.checkpoint.get_variable_to_shape_map()
        return {name: contract.tensor_type(dtypes[name].name, shapes[name]) for name in shapes}

    @functools.cached_property
    def provenance(self) -> provenance.Provenance:
        if contract.PROVENANCE not in self.files:
            raise UnreadableError(
                f"there is no {contract.PROVENANCE}, which says what the module promises"
            )
        try:
            return provenance.from_json(self.read(contract.PROVENANCE).decode())
        except ValueError as error:
            raise UnreadableError(f"{contract.PROVENANCE} is malformed: {error}") from error

    def read(self, file: str) -> bytes:
        try:
            return (self.directory / file).read_bytes()
        except OSError as error:
            raise UnreadableError(f"{file} can't be read: {error}") from error


def collection(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> meta_graph_pb2.CollectionDef:
    """The collection of that name; an empty one if there is none."""
    # Indexing a protobuf map by a missing key would add it.
    definitions = meta_graph.collection_def
    return definitions[name] if name in definitions else meta_graph_pb2.CollectionDef()


def ancestors(nodes: Mapping[str, node_def_pb2.NodeDef], tensor: str) -> set[str]:
    """Names of the nodes that a tensor depends on, its own among them."""
    seen, waiting = set(), [tensor]
    while waiting:
        name = waiting.pop().removeprefix("^").split(":")[0]
        if name not in seen and name in nodes:
            seen.add(name)
            waiting.extend(nodes[name].input)
    return seen
