"""Write versions 4 and 5: a TF2 SavedModel that can be called, and so be fine-tuned.

TensorFlow 2 loads it as an object:

    obj(inputs, training=False, return_endpoints=False, batch_norm_momentum=0.99)
        Returns logits `[batch, classes]` or the feature vector `[batch, features]`, float32. `inputs`
        are float32 images `[batch, height, width, 3]`, RGB in [0, 1], of any size that the network
        accepts. With `training`, batch norm uses the batch's statistics and updates its moving
        averages, and dropout is active. With `return_endpoints`, the result is a dictionary of that
        output, as `default`, and the end points. Both are Python bools. Networks without batch norm
        have no `batch_norm_momentum`.
    obj.serve(inputs), obj.train(inputs)
        The same call for inference and for training, for Keras 3.
    obj.variables, obj.trainable_variables
        `tf.Variable`s with Slim's names, sorted by name.
    obj.regularization_losses
        Functions without arguments. Each returns a float32 scalar.
    obj.labels.asset_path
        The file that names the classes, if the module has one.

Signatures, which version 4 has none of, have the tag `serve`. Those named `..._with_bn_hparams` run in training mode, as the tag
set {"train"} of version 3, so APPLYING THEM CHANGES THE MOVING AVERAGES. All others are for inference
and change nothing.

The network is traced twice, for inference and for training, with all of its outputs. Everything else
wraps these two functions. They import the Slim graph, so there is no second definition of a network.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export.writers import canonical, slim_graph
from slimhub.signatures.contract import contract
from slimhub.signatures.contract.network import TensorSpec
from slimhub.support.tf_private import AutoTrackable

Tensors = Mapping[str, tf.Tensor]

# The functions have no Python control flow for AutoGraph to convert, and it takes time.
_function = functools.partial(tf.function, autograph=False)


def write(
    directory: Path,
    *,
    promise: contract.Contract,
    definitions: slim_graph.Definitions,
    weights: Mapping[str, np.ndarray],
) -> None:
    """Write a module; arguments and errors as for `tf1_hub.write`."""
    # Not a `tf.Module`: `hub.KerasLayer` would find no weights. Not a `tf.train.Checkpoint`: it adds a
    # variable.
    root = AutoTrackable()
    variables = definitions.inference.variables
    root.variables = [
        _variable(name, weights[name], trainable=variables[name].trainable)
        for name in sorted(weights)
    ]
    root.trainable_variables = [variable for variable in root.variables if variable.trainable]
    networks = {
        mode.training: _network(definitions.of(mode), promise, mode, root.variables)
        for mode in promise.modes
    }
    # As attributes: `tf.vectorized_map` needs the outputs of functions that a function calls, and finds
    # them only in objects.
    root._networks = list(networks.values())
    root.regularization_losses = list(_losses(definitions.inference, root.variables))
    _add_calls(root, promise, networks)
    if promise.assets and promise.labels is not None:
        root.labels = tf.saved_model.Asset(str(directory / promise.labels))
    signatures = {
        signature.name: _signature(signature, promise, networks[mode.training])
        for mode in promise.modes
        for signature in mode.signatures
    }
    tf.saved_model.save(root, str(directory), signatures=signatures)
    canonical.rewrite(directory)
    if not promise.assets:
        # TensorFlow creates a directory for assets even if there are none.
        (directory / "assets").rmdir()


def _variable(name: str, value: np.ndarray, *, trainable: bool) -> tf.Variable:
    if trainable:
        return tf.Variable(value, name=name)
    # As in Keras' batch norm: under a distribution strategy, each replica updates its own averages, and
    # reading or saving them gives the mean.
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
    """Return a function that imports part of the Slim graph into the function that is being traced.

    Args:
      graph_def: the Slim graph.
      names: tensors and operations to import, with everything that they depend on.
      variables: variables that replace the graph's variables of the same names.

    Returns:
      A function that takes the tensors that replace placeholders, by name, and returns those of `names`.
    """
    names = list(names)
    part = slim_graph.prune(graph_def, names)
    present = {f"{node.name}:0" for node in part.node}
    used = [variable for variable in variables if variable.name in present]

    def put(inputs: Tensors) -> list:
        graph = tf.compat.v1.get_default_graph()
        replaced = {variable.name: graph.capture(variable.handle) for variable in used}
        replaced |= {name: tensor for name, tensor in inputs.items() if name in present}
        # TensorFlow would also import the replaced nodes, and converters fail on their unused handles.
        rest = tf.compat.v1.GraphDef(versions=part.versions)
        rest.node.extend(node for node in part.node if f"{node.name}:0" not in replaced)
        return tf.graph_util.import_graph_def(
            rest, input_map=replaced, return_elements=names, name=""
        )

    return put


def _network(
    definition: slim_graph.Definition, promise: contract.Contract, mode: contract.Mode, variables
):
    """Trace the network: return a function from its inputs to all outputs, by their names in Slim."""
    specs = [spec for applied in mode.applied for spec in applied.outputs.values()]
    names = list(dict.fromkeys(spec.name for spec in specs))
    put = _importer(definition.meta_graph.graph_def, [*names, *definition.update_ops], variables)
    inputs = promise.network_inputs

    @_function(input_signature=[_spec(spec, name) for name, spec in inputs.items()])
    def network(*tensors):
        given = {spec.name: tensor for spec, tensor in zip(inputs.values(), tensors, strict=True)}
        # `put` also returns the updates, after the outputs. They run because the function has them.
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


def _add_calls(root, promise: contract.Contract, networks) -> None:
    """Add the calls of the contract to the object: `__call__`, `serve` and `train`."""
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


def _endpoint(call: contract.Call, promise: contract.Contract, network):
    @_function(input_signature=[_spec(promise.images, "inputs")])
    def endpoint(inputs):
        return _result(network(inputs, *_momentum(promise)), call)

    return endpoint


def _signature(signature: contract.Signature, promise: contract.Contract, network):
    def apply(**inputs):
        by_spec = {signature.inputs[key]: tensor for key, tensor in inputs.items()}
        given = [tensor for spec, tensor in by_spec.items() if spec == promise.momentum_input]
        momentum = given or _momentum(promise)
        return _outputs(network(by_spec[promise.images], *momentum), signature)

    specs = {key: _spec(spec, key) for key, spec in signature.inputs.items()}
    return _function(apply).get_concrete_function(**specs)


def _momentum(promise: contract.Contract) -> list[tf.Tensor]:
    """Return the default momentum as the network's further arguments; none without batch norm."""
    return [] if promise.momentum is None else [tf.constant(promise.momentum)]


def _outputs(tensors: Tensors, of: contract.Signature | contract.Call) -> Tensors:
    return {key: tensors[spec.name] for key, spec in of.outputs.items()}


def _result(tensors: Tensors, call: contract.Call) -> Tensors | tf.Tensor:
    outputs = _outputs(tensors, call)
    return outputs if call.gives_dictionary else outputs["default"]


def _spec(spec: TensorSpec, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, spec.dtype, name)
