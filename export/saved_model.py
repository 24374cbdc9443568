"""Writes version 5: a TF2 SavedModel that can be called, and so be fine-tuned.

What TensorFlow 2 loads from it is an object:

    obj(inputs, training=False, return_endpoints=False, batch_norm_momentum=0.99)
        Logits `[batch, classes]`, or the feature vector `[batch, features]`, of float32 images
        `[batch, height, width, 3]`, RGB in [0, 1], of any size that the network runs on. In training,
        batch norm uses the statistics of the batch and moves its moving averages, and dropout is
        active. Without batch norm in the network, there is no `batch_norm_momentum`.
        `return_endpoints` gives a dictionary instead: that output as `default`, and the end
        points. `training` and `return_endpoints` are Python bools.
    obj.serve(inputs), obj.train(inputs)
        The same for inference and for training, as Keras 3 calls it.
    obj.variables, obj.trainable_variables
        `tf.Variable`s with Slim's names, sorted by name.
    obj.regularization_losses
        Functions without arguments, each of which gives a float32 scalar.
    obj.labels.asset_path
        The file that names the classes, if the module has one.

Signatures have the tag `serve`. Those named `..._with_bn_hparams` run in training mode, the
counterpart of the tag set {"train"} of version 3, so THEY MOVE THE MOVING AVERAGES of whoever
applies them; all others are for inference, and change nothing.

The network is traced twice, for inference and for training, with all of its outputs; everything
else wraps these two. What is traced is the Slim graph itself, imported, so that there is no
second definition of it.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export import canonical, slim_graph
from slimhub.signatures import contract
from slimhub.signatures.interface import TensorSpec

Tensors = Mapping[str, tf.Tensor]

# AutoGraph has nothing to do here but to take its time.
_function = functools.partial(tf.function, autograph=False)


def write(
    directory: Path,
    *,
    promise: contract.Promise,
    definitions: Mapping[bool, slim_graph.Definition],
    weights: Mapping[str, np.ndarray],
) -> None:
    """Writes a module into an existing directory, which holds nothing but the labels, if there are any.

    Args:
      directory: where to.
      promise: which signatures to write.
      definitions: of the Slim graph for inference and, by `True`, of that for training.
      weights: float32 arrays by variable name, exactly those of the graphs.

    Raises:
      OSError, tf.errors.OpError: the directory can't be written.
    """
    # Not a `tf.Module`, in which hub.KerasLayer finds no weights; nor a `tf.train.Checkpoint`,
    # which has a variable of its own.
    root = tf.__internal__.tracking.AutoTrackable()
    variables = definitions[False].variables
    root.variables = [
        _variable(name, weights[name], trainable=variables[name].trainable)
        for name in sorted(weights)
    ]
    root.trainable_variables = [variable for variable in root.variables if variable.trainable]
    networks = {
        mode.training: _network(definitions[mode.training], promise, mode, root.variables)
        for mode in promise.modes
    }
    root.regularization_losses = list(_losses(definitions[False], root.variables))
    _add_calls(root, promise, networks)
    if promise.assets:
        root.labels = tf.saved_model.Asset(str(directory / promise.labels))
    signatures = {
        signature.name: _signature(signature, promise, networks[mode.training])
        for mode in promise.modes
        for signature in mode.signatures
    }
    tf.saved_model.save(root, str(directory), signatures=signatures)
    canonical.rewrite(directory)
    if not promise.assets:
        # TensorFlow makes a directory for them nevertheless.
        (directory / "assets").rmdir()


def _variable(name: str, value: np.ndarray, *, trainable: bool) -> tf.Variable:
    if trainable:
        return tf.Variable(value, name=name)
    # As Keras has the averages of its batch norm: under a distribution strategy, each replica
    # moves its own, and what is read and saved is their mean.
    return tf.Variable(
        value,
        name=name,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.MEAN,
    )


def _importer(
    graph_def: tf.compat.v1.GraphDef, names: Iterable[str], variables: Iterable[tf.Variable]
) -> Callable[[Tensors], list]:
    """A function that puts part of the Slim graph into the function that is being traced.

    Args:
      graph_def: the Slim graph.
      names: tensors and operations to import, with all that they depend on.
      variables: to be used instead of those of the graph, by name.

    Returns:
      A function of the tensors to be used instead of placeholders, by name; it gives `names`.
    """
    names = list(names)
    part = slim_graph.prune(graph_def, names)
    present = {f"{node.name}:0" for node in part.node}
    used = [variable for variable in variables if variable.name in present]

    def put(inputs: Tensors) -> list:
        graph = tf.compat.v1.get_default_graph()
        replaced = {variable.name: graph.capture(variable.handle) for variable in used}
        replaced |= {name: tensor for name, tensor in inputs.items() if name in present}
        # TensorFlow would import what is replaced, too: converters trip over handles of nothing.
        rest = tf.compat.v1.GraphDef(versions=part.versions)
        rest.node.extend(node for node in part.node if f"{node.name}:0" not in replaced)
        return tf.graph_util.import_graph_def(
            rest, input_map=replaced, return_elements=names, name=""
        )

    return put


def _network(
    definition: slim_graph.Definition, promise: contract.Promise, mode: contract.Mode, variables
):
    """The network, traced: a function of its inputs, of all outputs by their names in Slim."""
    specs = [spec for one in mode.applied for spec in one.outputs.values()]
    names = list(dict.fromkeys(spec.name for spec in specs))
    put = _importer(definition.meta_graph.graph_def, [*names, *definition.update_ops], variables)
    inputs = promise.network_inputs

    @_function(input_signature=[_spec(spec, name) for name, spec in inputs.items()])
    def network(*tensors):
        given = {spec.name: one for spec, one in zip(inputs.values(), tensors, strict=True)}
        # Behind them come the updates, which run because they are in the function.
        return dict(zip(names, put(given), strict=False))

    return network.get_concrete_function()


def _losses(definition: slim_graph.Definition, variables):
    names = definition.regularization_losses
    graph_def = slim_graph.prune(definition.meta_graph.graph_def, names)
    for name in names:
        put = _importer(graph_def, [name], variables)
        yield _function(functools.partial(_only, put), input_signature=[])


def _only(put: Callable[[Tensors], list]) -> tf.Tensor:
    [tensor] = put({})
    return tensor


def _add_calls(root, promise: contract.Promise, networks) -> None:
    """Has the object called as promised: itself, `serve` and `train`."""
    calls = [(call, networks[mode.training]) for mode in promise.modes for call in mode.calls]
    by_arguments = {tuple(call.arguments.values()): call for call, _ in calls}

    def apply(training, return_endpoints, *inputs):
        return _result(networks[training](*inputs), by_arguments[training, return_endpoints])

    def call_object(
        inputs, training=False, return_endpoints=False, batch_norm_momentum=promise.momentum
    ):
        return apply(training, return_endpoints, inputs, batch_norm_momentum)

    def call_without_momentum(inputs, training=False, return_endpoints=False):
        return apply(training, return_endpoints, inputs)

    settable = promise.momentum_input is not None
    root.__call__ = _function(call_object if settable else call_without_momentum)
    specs = {name: _spec(spec, name) for name, spec in promise.network_inputs.items()}
    del specs["images"]
    images = _spec(promise.images, "inputs")
    for call, network in calls:
        if call.function == "__call__":
            root.__call__.get_concrete_function(images, **call.arguments, **specs)
        else:
            setattr(root, call.function, _endpoint(call, promise, network))


def _endpoint(call: contract.Call, promise: contract.Promise, network):
    @_function(input_signature=[_spec(promise.images, "inputs")])
    def endpoint(inputs):
        return _result(network(inputs, *_momentum(promise)), call)

    return endpoint


def _signature(signature: contract.Signature, promise: contract.Promise, network):
    def apply(**inputs):
        by_spec = {signature.inputs[key]: tensor for key, tensor in inputs.items()}
        given = [tensor for spec, tensor in by_spec.items() if spec == promise.momentum_input]
        momentum = given or _momentum(promise)
        return _outputs(network(by_spec[promise.images], *momentum), signature)

    specs = {key: _spec(spec, key) for key, spec in signature.inputs.items()}
    return _function(apply).get_concrete_function(**specs)


def _momentum(promise: contract.Promise) -> list[tf.Tensor]:
    """What a network is given where nobody sets its momentum."""
    return [] if promise.momentum is None else [tf.constant(promise.momentum)]


def _outputs(tensors: Tensors, of: contract.Signature | contract.Call) -> Tensors:
    return {key: tensors[spec.name] for key, spec in of.outputs.items()}


def _result(tensors: Tensors, call: contract.Call) -> Tensors | tf.Tensor:
    outputs = _outputs(tensors, call)
    return outputs if call.gives_dictionary else outputs["default"]


def _spec(spec: TensorSpec, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, spec.dtype, name)
