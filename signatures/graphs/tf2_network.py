"""The network of a TF2 SavedModel, whoever wrote it: as data, and running."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from slimhub.signatures.contract.network import TensorSpec
from slimhub.signatures.graphs import inference_graph
from slimhub.signatures.graphs.flat import FlatGraph
from slimhub.signatures.graphs.inference_graph import InferenceGraph
from slimhub.signatures.graphs.outputs import SIGNATURES, Outputs
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.signatures.module.objects import Objects, to_python

Call = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]


class Tf2Network:
    """The network of a module; use it in a `with`. Methods raise `UnreadableError` if it has none.

    Attributes:
      task: what the module is for; what is given if no name tells.
      names_task: whether names tell.
    """

    # What the format doesn't attach.
    attached_size = None

    def __init__(self, module: Module, *, task: str):
        [self._meta_graph, *_] = module.saved_model.meta_graphs
        self._objects = Objects(self._meta_graph)
        self._loaded = tf.saved_model.load(str(module.directory))
        found = self._loaded.signatures
        self._named = {task: found[name] for task, name in SIGNATURES.items() if name in found}
        self._serving = found.get("serving_default")
        told = self._told()
        self.task, self.names_task = told or task, told is not None

    @functools.cached_property
    def images(self) -> TensorSpec:
        """Return the input for images."""
        if self._named or self._serving:
            signature = self._serving or next(iter(self._named.values()))
            [found, *_] = signature.structured_input_signature[1].values()
        else:
            found = self._first_argument()
        shape = tuple(found.shape) if found.shape.rank is not None else ()
        return TensorSpec(name=found.name, shape=shape, dtype=found.dtype.name)

    @functools.cached_property
    def inference(self) -> Mapping[str, Outputs]:
        """Return the outputs at inference, by task."""
        return {task: self._trace(call) for task, call in self._inference.items()}

    @functools.cached_property
    def training(self) -> Mapping[str, Outputs]:
        """Return the outputs in training, by task; none if it can't be trained."""
        if "training" not in self._arguments:
            return {}
        return {self.task: self._trace(self._call(training=True))}

    @functools.cached_property
    def variables(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of the float32 variables, in the order in which they are used."""
        [outputs, *_] = self.inference.values()
        names = outputs.graph.in_order_of_use(self._variables)
        return {name: tuple(self._variables[name].shape) for name in names}

    @property
    def trainable(self) -> set[str]:
        """Return the names of the variables that an optimizer changes."""
        listed = getattr(self._loaded, "trainable_variables", None)
        if listed is None:
            listed = [variable for variable in self._variables.values() if variable.trainable]
        return set(map(_name, listed))

    def losses(self) -> Iterator[tuple[set[str], float]]:
        """Yield the variables behind each regularization loss, and its value."""
        members = self._objects.members("regularization_losses")
        losses = getattr(self._loaded, "regularization_losses", ())
        for member, loss in zip(members, losses, strict=True):
            yield set(self._objects.captured(member.function)), float(loss())

    def run(self, images: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Run inference; return arrays by task and output key."""
        with execution.without_grappler():
            return {
                task: {key: np.asarray(one) for key, one in call(tf.constant(images)).items()}
                for task, call in self._inference.items()
            }

    @contextlib.contextmanager
    def inference_graph(self) -> Iterator[InferenceGraph]:
        """Enter the graph of inference, without weights: it can be run up to the first layers."""
        [outputs, *_] = self.inference.values()
        with inference_graph.opened(outputs.graph, images=outputs.images, outputs={}) as graph:
            yield graph

    def updated(
        self, averages: Mapping[str, np.ndarray], images: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Set moving averages, train on images once, and return the moving averages."""
        for name, value in averages.items():
            self._variables[name].assign(value)
        with execution.without_grappler():
            self._call(training=True)(tf.constant(images))
        return {name: self._variables[name].numpy() for name in averages}

    def _told(self) -> str | None:
        """Return what the module is for, if names tell."""
        if self._named:
            return "classification" if "classification" in self._named else "feature_vector"
        served = {} if self._serving is None else self._serving.structured_outputs
        keys = {"logits": "classification", "feature_vector": "feature_vector"}
        return next((task for key, task in keys.items() if key in served), None)

    @functools.cached_property
    def _inference(self) -> Mapping[str, Call]:
        """Return the functions for inference, by task."""
        if self._named:
            return {task: _signature(found) for task, found in self._named.items()}
        if self._function is not None:
            return {self.task: self._call(training=False)}
        if self._serving is None:
            raise UnreadableError("expected an object to call, or a signature of images")
        return {self.task: _signature(self._serving)}

    @property
    def _function(self):
        return self._objects.function("__call__")

    @functools.cached_property
    def _arguments(self) -> tuple[str, ...]:
        """Return the names of the arguments of the object's call; none if it can't be called."""
        if self._function is None:
            return ()
        spec = to_python(self._function.function_spec.fullargspec)
        return tuple(spec.get("args") or ()) if isinstance(spec, dict) else ()

    def _call(self, *, training: bool) -> Call:
        given = {"training": training, "return_endpoints": True}
        given = {name: value for name, value in given.items() if name in self._arguments}

        def call(images):
            outputs = self._loaded(images, **given)
            return outputs if isinstance(outputs, Mapping) else {"default": outputs}

        return call

    def _first_argument(self) -> tf.TensorSpec:
        """Return the most general type of the first argument of the object's call."""
        functions = [] if self._function is None else self._function.concrete_functions
        found = []
        for name in functions:
            concrete = self._meta_graph.object_graph_def.concrete_functions[name]
            for arguments in concrete.canonicalized_input_signature.tuple_value.values[:1]:
                for argument in arguments.tuple_value.values[:1]:
                    spec = argument.tensor_spec_value
                    shape = tf.TensorShape(spec.shape)
                    found.append(tf.TensorSpec(shape, spec.dtype, name="inputs"))
        if not found:
            raise UnreadableError("expected an object to call, or a signature of images")
        return max(found, key=lambda spec: list(spec.shape or ()).count(None))

    @property
    def _spec(self) -> tf.TensorSpec:
        return tf.TensorSpec(self.images.shape, self.images.dtype)

    @functools.cached_property
    def _variables(self) -> Mapping[str, tf.Variable]:
        found = getattr(self._loaded, "variables", None)
        if found is None:
            functions = [tf.function(call, autograph=False) for call in self._inference.values()]
            traced = [function.get_concrete_function(self._spec) for function in functions]
            found = [variable for graph in traced for variable in graph.variables]
        found = {id(one): one for one in found if one.dtype == tf.float32}.values()
        by_name = {_name(variable): variable for variable in found}
        if len(by_name) < len(found):
            raise UnreadableError(
                "variables: a contract has them by name, but names are not unique"
            )
        return by_name

    def _trace(self, call: Call) -> Outputs:
        traced = tf.function(call, autograph=False).get_concrete_function(self._spec)
        handles = {id(variable.handle): name for name, variable in self._variables.items()}
        renamed = {
            inner.op.name: handles[id(outer)]
            for outer, inner in traced.graph.captures
            if id(outer) in handles
        }
        graph = FlatGraph(traced.graph.as_graph_def(), renamed=renamed)
        keys = sorted(traced.structured_outputs)
        tensors = {
            key: graph.computed(tensor.name)
            for key, tensor in zip(keys, traced.outputs, strict=True)
        }
        return Outputs(graph=graph, images=traced.inputs[0].name, tensors=tensors)

    def __enter__(self) -> "Tf2Network":
        return self

    def __exit__(self, *exception) -> None:
        """Do nothing: what TensorFlow 2 loads is not closed."""


def _signature(found) -> Call:
    [key, *_] = found.structured_input_signature[1]
    return lambda images: found(**{key: images})


def _name(variable: tf.Variable) -> str:
    return variable.name.removesuffix(":0")
