"""What a check is given: a module, what it promises, and the module running in each of its modes."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures import contract
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.module import Module
from slimhub.signatures.running import RunningGraph, RunningObject, load


class Subject:
    """A module under check; use it in a `with`.

    Attributes:
      module: the directory.
      promise: what it is held to; if none is given, what its own provenance says.
    """

    def __init__(
        self,
        module: Module,
        promise: contract.Promise | None = None,
        *,
        training: bool | None = None,
    ):
        """`training` says in which of the modes it is to be run; None: in both."""
        self.module = module
        self._promise = promise
        self._training = training
        self._running: dict[str, RunningGraph | RunningObject] = {}
        self._outputs: dict[tuple[str, int], dict[str, dict[str, np.ndarray]]] = {}
        self._sessions = contextlib.ExitStack()

    @functools.cached_property
    def promise(self) -> contract.Promise:
        return self._promise or self.module.provenance.promise()

    @property
    def modes(self) -> tuple[contract.Mode, ...]:
        """Those in which it is to be run."""
        wanted = (False, True) if self._training is None else (self._training,)
        return tuple(mode for mode in self.promise.modes if mode.training in wanted)

    @property
    def inference(self) -> bool:
        """Whether it is to be run for inference, which is when that is checked which has no mode."""
        return not all(mode.training for mode in self.modes)

    def meta_graphs(
        self,
    ) -> Iterator[tuple[str, tuple[contract.Mode, ...], meta_graph_pb2.MetaGraphDef]]:
        """Label, modes and meta graph of each tag set that was both promised and found."""
        found = self.module.meta_graphs
        for tags, modes in self.promise.tag_sets.items():
            if tags in found:
                yield modes[0].label, modes, found[tags]

    @property
    def meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        """That of a format with one tag set. Raises `UnreadableError` if it is not there."""
        [tags] = self.promise.tag_sets
        if tags not in self.module.meta_graphs:
            raise UnreadableError(f"there is no meta graph with the tags {', '.join(tags)}")
        return self.module.meta_graphs[tags]

    @functools.cached_property
    def loaded(self):
        """What TensorFlow 2 loads. Raises whatever it raises for what it can't load."""
        return tf.saved_model.load(str(self.module.directory))

    def running(self) -> Iterator[tuple[contract.Mode, RunningGraph | RunningObject]]:
        """Each of `modes`, and the module running in it."""
        for mode in self.modes:
            yield mode, self.run(mode)

    def run(self, mode: contract.Mode) -> RunningGraph | RunningObject:
        """The module in that mode, the same one whenever it is asked for.

        Raises: whatever TensorFlow raises for what it can't load.
        """
        if mode.label not in self._running:
            if self.promise.format.callable:
                module = RunningObject(self.loaded, promise=self.promise, mode=mode)
            else:
                session = load(self.module.directory, tags=mode.tags)
                module = self._sessions.enter_context(session)
            self._running[mode.label] = module
        return self._running[mode.label]

    def outputs(self, mode: contract.Mode, *, batch: int):
        """What comes out in that mode for `images` of the default size, run only once."""
        key = mode.label, batch
        if key not in self._outputs:
            self._outputs[key] = self.run(mode).run(self.images(batch=batch))
        return self._outputs[key]

    def forget(self) -> None:
        """Drops what `outputs` keeps, which of a large network is large."""
        self._outputs.clear()

    def images(self, *, batch: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Uniform noise in [0, 1], float32 `[batch, height, width, 3]`; the default size if none is given."""
        size = size or self.promise.interface.image_size
        return np.random.RandomState(0).uniform(size=(batch, *size, 3)).astype(np.float32)

    def __enter__(self) -> "Subject":
        return self

    def __exit__(self, *exception) -> None:
        self._sessions.close()
