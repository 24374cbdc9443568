"""The argument of a check: a module, what it promises, and the module running in each of its modes."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.contract import contract
from slimhub.signatures.graphs.inference_graph import InferenceGraph, traced
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.execution import RunningGraph, RunningObject, load
from slimhub.signatures.module.module import Module


class ModuleUnderTest:
    """A module under check; use it in a `with` where it is run.

    Attributes:
      module: the directory.
      expectation: what it is held to.
      promise: the contract that follows from that, if it is not given.
      modes: those in which it is run; if none are given, all that are promised.
      served: what its signatures for inference gave in a session, arrays by name and output key.
    """

    def __init__(
        self,
        module: Module,
        promise: contract.Contract | None = None,
        *,
        modes: tuple[contract.Mode, ...] | None = None,
        expectation: Expectation | None = None,
    ):
        self.module = module
        self._promise = promise
        self._modes = modes
        self.expectation = expectation or Expectation()
        self._graphs: dict[str, RunningGraph] = {}
        self._objects: dict[str, RunningObject] = {}
        self._outputs: dict[tuple[str, int], dict[str, dict[str, np.ndarray]]] = {}
        self._sessions = contextlib.ExitStack()
        self.served: dict[str, dict[str, np.ndarray]] = {}

    @functools.cached_property
    def promise(self) -> contract.Contract:
        return self._promise or self.expectation.promise(self.module)

    @property
    def level(self) -> str:
        """How strictly it is held to its contract, one of `contract.LEVELS`; known before it is read."""
        return self._promise.level if self._promise else self.expectation.level

    @property
    def modes(self) -> tuple[contract.Mode, ...]:
        """The modes in which it is to be run."""
        return self.promise.modes if self._modes is None else self._modes

    @property
    def runs_inference(self) -> bool:
        """Whether inference is among `modes`. What has no mode is checked then, and so once."""
        return any(not mode.training for mode in self.modes)

    def meta_graphs(
        self,
    ) -> Iterator[tuple[str, tuple[contract.Mode, ...], meta_graph_pb2.MetaGraphDef]]:
        """Yield label, modes and meta graph of each tag set that was both promised and found."""
        found = self.module.meta_graphs
        for tags, modes in self.promise.tag_sets.items():
            if tags in found:
                yield modes[0].label, modes, found[tags]

    @property
    def meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        """The meta graph of a format with one tag set. Raises `UnreadableError` if it is not there."""
        [tags] = self.promise.tag_sets
        if tags not in self.module.meta_graphs:
            raise UnreadableError(f"there is no meta graph with the tags {', '.join(tags)}")
        return self.module.meta_graphs[tags]

    @functools.cached_property
    def loaded(self):
        """The object that TensorFlow 2 loads. Raises whatever TensorFlow raises if it can't be loaded."""
        return tf.saved_model.load(str(self.module.directory))

    def run(self, mode: contract.Mode) -> RunningGraph | RunningObject:
        """Load the module in a mode, once, as its format is used.

        Raises: whatever TensorFlow raises for what it can't load.
        """
        return self.run_object(mode) if self.promise.format.callable else self.run_graph(mode)

    def run_graph(self, mode: contract.Mode) -> RunningGraph:
        """Load the meta graph of a mode into a session, once."""
        if mode.label not in self._graphs:
            session = load(self.module.directory, tags=mode.tags, signatures=mode.signatures)
            self._graphs[mode.label] = self._sessions.enter_context(session)
        return self._graphs[mode.label]

    def run_object(self, mode: contract.Mode) -> RunningObject:
        """Return the object that TensorFlow 2 loads, in a mode."""
        if mode.label not in self._objects:
            running = RunningObject(self.loaded, mode=mode, level=self.level)
            self._objects[mode.label] = running
        return self._objects[mode.label]

    @contextlib.contextmanager
    def flat_graph(self, mode: contract.Mode) -> Iterator[InferenceGraph]:
        """Yield the graph of a mode without functions; in TensorFlow 2, without weights."""
        main = self.promise.format.main
        if not self.promise.format.callable:
            graph = self.run_graph(mode)
            signature = graph.meta_graph.signature_def[main]
            yield InferenceGraph(
                graph.session,
                images=signature.inputs["images"].name,
                outputs={key: info.name for key, info in signature.outputs.items()},
            )
            return
        every = max(mode.calls, key=lambda call: len(call.outputs))
        call = self.run_object(mode).function(every.name)
        images = tf.TensorSpec(self.promise.images.shape, self.promise.images.dtype)
        with traced(lambda images: call(images, None), image_type=images) as flat:
            yield flat

    def outputs(self, mode: contract.Mode, *, batch: int):
        """Run the module in a mode on `images` of the default size, once."""
        key = mode.label, batch
        if key not in self._outputs:
            self._outputs[key] = self.run(mode).run(self.images(batch=batch))
        return self._outputs[key]

    def forget(self) -> None:
        """Drop the outputs that are kept, which are large for a large network."""
        self._outputs.clear()

    def images(self, *, batch: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return noise in [0, 1], float32 `[batch, height, width, 3]`, of the default size if none is given.

        Each image is darker than the one before: a batch of them has other statistics than each alone.
        """
        size = size or self.promise.network.image_size
        noise = np.random.RandomState(0).uniform(size=(batch, *size, 3))
        return (noise / np.arange(1, batch + 1).reshape(-1, 1, 1, 1)).astype(np.float32)

    def __enter__(self) -> "ModuleUnderTest":
        return self

    def __exit__(self, *exception) -> None:
        self._sessions.close()
