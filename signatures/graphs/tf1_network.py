"""The network of a module of the TF1 Hub format, whoever wrote it: as data, and running."""

import contextlib
import functools
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures.contract import formats
from slimhub.signatures.contract.network import TensorSpec
from slimhub.signatures.graphs.common import attached_size
from slimhub.signatures.graphs.flat import FlatGraph
from slimhub.signatures.graphs.inference_graph import InferenceGraph
from slimhub.signatures.graphs.outputs import SIGNATURES, Outputs
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.execution import RunningGraph, load
from slimhub.signatures.module.module import Module, collection

_INFERENCE, _TRAINING = (rule.tags for rule in formats.TF1_HUB.modes)


class Tf1Network:
    """The network of a module; use it in a `with`. Methods raise `UnreadableError` if it has none.

    Attributes:
      task: what the output is that no name tells of.
    """

    def __init__(self, module: Module, *, task: str):
        self.task = task
        self._module = module
        self._sessions: dict[tuple[str, ...], RunningGraph] = {}
        self._opened = contextlib.ExitStack()

    @functools.cached_property
    def images(self) -> TensorSpec:
        """Return the input for images."""
        found = self._images(_INFERENCE)
        shape = tuple(None if dim.size == -1 else dim.size for dim in found.tensor_shape.dim)
        return TensorSpec(name=found.name, shape=shape, dtype=tf.as_dtype(found.dtype).name)

    @property
    def attached_size(self) -> tuple[int, int] | None:
        """Return the height and width that are attached to the module; None if there are none."""
        return attached_size(self._meta_graph(_INFERENCE))

    @property
    def names_task(self) -> bool:
        """Return whether names tell what the outputs are."""
        found = self._meta_graph(_INFERENCE).signature_def
        return any(name in found for name in SIGNATURES.values())

    @functools.cached_property
    def inference(self) -> Mapping[str, Outputs]:
        """Return the outputs at inference, by task."""
        return self._outputs(_INFERENCE)

    @functools.cached_property
    def training(self) -> Mapping[str, Outputs]:
        """Return the outputs in training, by task; none if it can't be trained."""
        return self._outputs(_TRAINING) if _TRAINING in self._module.meta_graphs else {}

    @functools.cached_property
    def variables(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of the float32 variables, in order of construction."""
        variables = self._session(_INFERENCE).collection("variables")
        return {
            variable.op.name: tuple(variable.shape)
            for variable in variables
            if variable.dtype.base_dtype == tf.float32
        }

    @property
    def trainable(self) -> set[str]:
        """Return the names of the variables that an optimizer changes."""
        # The attribute of the same name is younger than some modules.
        values = collection(self._meta_graph(self._last), "trainable_variables").bytes_list.value
        protos = map(variable_pb2.VariableDef.FromString, values)
        return {proto.variable_name.removesuffix(":0") for proto in protos}

    def losses(self) -> Iterator[tuple[set[str], float]]:
        """Yield the variables behind each regularization loss, and its value."""
        running = self._session(self._last)
        losses = running.collection("regularization_losses")
        graph = self._graphs(self._last)
        for loss, value in zip(losses, running.session.run(losses), strict=True):
            yield graph.behind(loss.name) & self.variables.keys(), float(value)

    def run(self, images: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Run inference; return arrays by task and output key."""
        fetches = {task: dict(found.tensors) for task, found in self.inference.items()}
        return self._session(_INFERENCE).session.run(fetches, {self.images.name: images})

    @contextlib.contextmanager
    def inference_graph(self) -> Iterator[InferenceGraph]:
        """Enter the graph of inference, which can be run as far as it is needed."""
        running = self._session(_INFERENCE)
        yield InferenceGraph(running.session, images=self.images.name, outputs={})

    def updated(
        self, averages: Mapping[str, np.ndarray], images: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Set moving averages, train on images once, and return the moving averages."""
        feeds = {self._images(_TRAINING).name: images}
        return self._session(_TRAINING).updated(averages, feeds)

    @property
    def _last(self) -> tuple[str, ...]:
        """Return the tag set that has what training needs."""
        return _TRAINING if self.training else _INFERENCE

    def _meta_graph(self, tags: tuple[str, ...]) -> meta_graph_pb2.MetaGraphDef:
        if tags not in self._module.meta_graphs:
            raise UnreadableError(f"there is no meta graph with the tags {{{', '.join(tags)}}}")
        return self._module.meta_graphs[tags]

    def _signatures(self, tags: tuple[str, ...]) -> dict[str, meta_graph_pb2.SignatureDef]:
        """Return the signatures of images by task."""
        found = self._meta_graph(tags).signature_def
        by_task = {task: found[name] for task, name in SIGNATURES.items() if name in found}
        if not by_task and "default" in found:
            by_task = {self.task: found["default"]}
        if not by_task or any("images" not in one.inputs for one in by_task.values()):
            raise UnreadableError(
                f"expected a signature {' or '.join(SIGNATURES.values())} of images"
            )
        return by_task

    def _images(self, tags: tuple[str, ...]) -> meta_graph_pb2.TensorInfo:
        signature, *_ = self._signatures(tags).values()
        return signature.inputs["images"]

    def _graphs(self, tags: tuple[str, ...]) -> FlatGraph:
        return FlatGraph(self._meta_graph(tags).graph_def)

    def _outputs(self, tags: tuple[str, ...]) -> dict[str, Outputs]:
        graph = self._graphs(tags)
        return {
            task: Outputs(
                graph=graph,
                images=signature.inputs["images"].name,
                tensors={key: info.name for key, info in sorted(signature.outputs.items())},
            )
            for task, signature in self._signatures(tags).items()
        }

    def _session(self, tags: tuple[str, ...]) -> RunningGraph:
        """Load a meta graph into a session, once."""
        if tags not in self._sessions:
            loading = load(self._module.directory, tags=tags)
            self._sessions[tags] = self._opened.enter_context(loading)
        return self._sessions[tags]

    def __enter__(self) -> "Tf1Network":
        return self

    def __exit__(self, *exception) -> None:
        self._opened.close()
