"""A module directory, read: its protos, its variables, its provenance."""

import functools
from pathlib import Path

import tensorflow as tf
from google.protobuf import message
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
        files = (path for path in self.directory.rglob("*") if not path.is_dir())
        return tuple(sorted(path.relative_to(self.directory).as_posix() for path in files))

    @functools.cached_property
    def saved_model(self) -> saved_model_pb2.SavedModel:
        if "saved_model.pb" not in self.files:
            raise UnreadableError(f"{self.directory} is no module: it has no saved_model.pb")
        try:
            return saved_model_pb2.SavedModel.FromString(self.read("saved_model.pb"))
        except message.DecodeError as error:
            raise UnreadableError(f"saved_model.pb is no SavedModel: {error}") from error

    @property
    def meta_graphs(self) -> dict[tuple[str, ...], meta_graph_pb2.MetaGraphDef]:
        """By tag set, in their order."""
        return {tuple(graph.meta_info_def.tags): graph for graph in self.saved_model.meta_graphs}

    @functools.cached_property
    def variables(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of each variable on disk."""
        try:
            reader = tf.train.load_checkpoint(str(self.directory / "variables" / "variables"))
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UnreadableError(f"variables/ is no checkpoint: {error}") from error
        dtypes = reader.get_variable_to_dtype_map()
        shapes = reader.get_variable_to_shape_map()
        return {name: (tuple(shapes[name]), dtypes[name].name) for name in shapes}

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
