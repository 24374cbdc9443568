"""The Slim graph of a module: what the writers write, and what a written module is compared with."""

import dataclasses
from collections.abc import Iterable

import tensorflow as tf

from slimhub.models import network
from slimhub.models.catalog import Model
from slimhub.signatures import contract
from slimhub.signatures.interface import Interface, TensorSpec

# They only weigh: colocation with a variable means nothing to one network on one device, shapes
# are inferred. And `debug_name` is new in TF 2.21; TF 1.15 refuses a graph with it.
_USELESS_ATTRS = ("_class", "_output_shapes", "debug_name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlimGraph:
    """A graph of TF1 that holds one network and the placeholders that feed it."""

    graph: tf.Graph
    network: network.Network


def build(model: Model, *, version: int, num_classes: int | None, training: bool) -> SlimGraph:
    """Builds the graph of one mode.

    Args:
      model: which network.
      version: whose contract gives the image shape and batch norm's momentum.
      num_classes: of the classification layer; None leaves it out.
      training: batch norm uses the statistics of the batch, dropout is active.
    """
    rules = contract.VERSIONS[version]
    with tf.Graph().as_default() as graph:
        images = _placeholder(rules.images(model.image_size))
        momentum = model.batch_norm_decay if rules.momentum is None else rules.momentum
        if rules.settable_momentum:
            momentum = _placeholder(contract.BATCH_NORM_MOMENTUM, default=momentum)
        built = network.build(
            model,
            images,
            training=training,
            batch_norm_momentum=momentum,
            num_classes=num_classes,
        )
    return SlimGraph(graph=graph, network=built)


def interface(model: Model, built: network.Network) -> Interface:
    """What the contract has to know of a network that was built."""
    heads = 0 if built.logits is None else 1
    return Interface(
        scope=model.scope,
        image_size=model.image_size,
        min_image_size=model.min_image_size,
        rescale=model.rescale,
        batch_norm_decay=model.batch_norm_decay,
        weight_decay=model.weight_decay,
        num_batch_norms=model.num_batch_norms,
        num_regularization_losses=model.num_regularized - 1 + heads,
        num_variables=len(built.variables),
        num_trainable_variables=sum(variable.trainable for variable in built.variables),
        feature_vector=_spec(built.feature_vector),
        logits=_spec(built.logits) if heads else None,
        predictions=_spec(built.predictions) if heads else None,
        end_points={key: _spec(tensor) for key, tensor in built.end_points.items()},
    )


def prune(graph_def: tf.compat.v1.GraphDef, names: Iterable[str]) -> tf.compat.v1.GraphDef:
    """The nodes that these tensors or operations depend on, in their order, without useless attributes."""
    inputs = {node.name: node.input for node in graph_def.node}
    kept, waiting = set(), list(names)
    while waiting:
        name = waiting.pop().removeprefix("^").split(":")[0]
        if name not in kept:
            kept.add(name)
            waiting.extend(inputs[name])
    pruned = tf.compat.v1.GraphDef(versions=graph_def.versions)
    pruned.node.extend(node for node in graph_def.node if node.name in kept)
    drop_attributes(pruned.node)
    return pruned


def drop_attributes(nodes) -> None:
    """Deletes the attributes of nodes that no reader needs."""
    for node in nodes:
        for attr in _USELESS_ATTRS:
            node.attr.pop(attr, None)


def _placeholder(spec: TensorSpec, *, default=None) -> tf.Tensor:
    scope, name = spec.name.removesuffix(":0").split("/")
    with tf.name_scope(f"{scope}/"):
        if default is None:
            return tf.compat.v1.placeholder(spec.dtype, spec.shape, name=name)
        default = tf.constant(default, spec.dtype, name=f"{name}/default")
        return tf.compat.v1.placeholder_with_default(default, spec.shape, name=name)


def _spec(tensor: tf.Tensor) -> TensorSpec:
    return TensorSpec(
        name=tensor.name, shape=tuple(tensor.shape.as_list()), dtype=tensor.dtype.name
    )
