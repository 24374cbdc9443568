"""The Slim graph of a module: the writers write it, and the verification compares modules with it."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.models import network
from slimhub.models.model import Model
from slimhub.signatures.contract import contract, versions
from slimhub.signatures.contract.network import NetworkContract, TensorSpec, Variable
from slimhub.signatures.module.module import ancestors

GraphKeys = tf.compat.v1.GraphKeys

_VARIABLES = (
    GraphKeys.GLOBAL_VARIABLES,
    GraphKeys.MODEL_VARIABLES,
    GraphKeys.TRAINABLE_VARIABLES,
)

# Attributes that no reader needs: colocation with a variable has no effect with one network on one device,
# and shapes are inferred. `debug_name` is new in TF 2.21, and TF 1.15 refuses a graph with it.
_USELESS_ATTRS = ("_class", "_output_shapes", "debug_name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlimGraph:
    """A graph of TF1 that holds one network, and the placeholders that feed it.

    Attributes:
      graph: the graph.
      network: the tensors of the network.
      images: the placeholder of the images.
      momentum: the placeholder of batch norm's momentum; None if it can't be set.
    """

    graph: tf.Graph
    network: network.Network
    images: tf.Tensor
    momentum: tf.Tensor | None

    @property
    def draws(self) -> list[tf.Tensor]:
        """Return the random numbers of the dropout layers."""
        return [op.outputs[0] for op in self.graph.get_operations() if op.type == "RandomUniform"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definition:
    """A Slim graph as data, which can be sent to another process.

    Attributes:
      meta_graph: the graph, with its collections of variables and of losses.
      images, momentum: names of the placeholders; no momentum if it can't be set.
      network: what was built, in the terms of a contract.
      update_ops: names of the operations that update the moving averages.
      regularization_losses: names of the losses' tensors.
    """

    meta_graph: meta_graph_pb2.MetaGraphDef
    images: str
    momentum: str | None
    network: NetworkContract
    update_ops: tuple[str, ...]
    regularization_losses: tuple[str, ...]

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Return all variables by name, in order of construction."""
        return self.network.variables

    @property
    def outputs(self) -> list[str]:
        """Names of all tensors that a module may give."""
        found = self.network
        specs = [found.feature_vector, *found.end_points.values(), found.logits, found.predictions]
        return [spec.name for spec in specs if spec is not None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definitions:
    """The Slim graphs of a network, of both modes. They have the same variables."""

    inference: Definition
    training: Definition

    @property
    def num_classes(self) -> int | None:
        """Number of the logits; None without a classification layer."""
        return self.inference.network.num_classes

    def of(self, mode: contract.Mode) -> Definition:
        return self.training if mode.training else self.inference

    def without_head(self, model: Model) -> "Definitions":
        """Return the same network without its classification layer, as if it had been built so."""
        return Definitions(
            inference=without_head(model, self.inference),
            training=without_head(model, self.training),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoredGraphs:
    """The graphs and weights that a module is written from.

    Attributes:
      definitions: the Slim graphs.
      weights: float32 arrays by variable name, exactly those of the graphs.
      converted_from: dtypes that some of them have in the checkpoint in place of float32, sorted.
    """

    definitions: Definitions
    weights: dict[str, np.ndarray]
    converted_from: tuple[str, ...]


def build(
    model: Model,
    *,
    version: int,
    prefix: str | None = None,
    num_classes: int | None,
    training: bool,
) -> SlimGraph:
    """Build the graph of one mode.

    Args:
      model: the network.
      version, prefix: version of the contract, and prefix of the module's handle, which give the image
        shape and batch norm's momentum.
      num_classes: number of classes; None leaves the classification layer out.
      training: whether batch norm uses the batch's statistics, and dropout is active.
    """
    rules = versions.below(prefix)[version]
    with tf.Graph().as_default() as graph:
        images = _placeholder(rules.images(model.image_size))
        decay = None if model.batch_norm is None else model.batch_norm.decay
        momentum, spec = rules.momentum_of(decay)
        settable = None if spec is None else _placeholder(spec, default=momentum)
        built = network.build(
            model,
            images,
            training=training,
            batch_norm_momentum=momentum if settable is None else settable,
            num_classes=num_classes,
        )
    return SlimGraph(graph=graph, network=built, images=images, momentum=settable)


def build_definition(
    model: Model,
    *,
    version: int,
    prefix: str | None = None,
    num_classes: int | None,
    training: bool,
) -> Definition:
    """Build the graph of one mode, as data; arguments as for `build`."""
    built = build(model, version=version, prefix=prefix, num_classes=num_classes, training=training)
    return define(model, built)


def define(model: Model, built: SlimGraph) -> Definition:
    """Describe a graph that was built."""
    # TensorFlow's exporter reads the default graph, even if it is given another.
    with built.graph.as_default():
        meta_graph = tf.compat.v1.train.export_meta_graph(
            clear_devices=True,
            strip_default_attrs=True,
            collection_list=(*_VARIABLES, GraphKeys.REGULARIZATION_LOSSES),
        )
    return Definition(
        meta_graph=meta_graph,
        images=built.images.name,
        momentum=None if built.momentum is None else built.momentum.name,
        network=describe(model, built),
        update_ops=tuple(op.name for op in built.network.update_ops),
        regularization_losses=tuple(loss.name for loss in built.network.regularization_losses),
    )


def without_head(model: Model, definition: Definition) -> Definition:
    """Return the same network without its classification layer, as if it had been built so.

    The layer is still in the graph, but nothing refers to it, so pruning the graph removes it.
    """
    network = definition.network.without_head()
    head = f"{model.scope}/{model.head}/"
    losses = tuple(name for name in definition.regularization_losses if not name.startswith(head))
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.CopyFrom(definition.meta_graph)
    for key in _VARIABLES:
        values = meta_graph.collection_def[key].bytes_list.value
        values[:] = [value for value in values if _variable_name(value) in network.variables]
    meta_graph.collection_def[GraphKeys.REGULARIZATION_LOSSES].node_list.value[:] = losses
    return dataclasses.replace(
        definition, meta_graph=meta_graph, network=network, regularization_losses=losses
    )


def _variable_name(serialized: bytes) -> str:
    return variable_pb2.VariableDef.FromString(serialized).variable_name.removesuffix(":0")


def describe(model: Model, graph: SlimGraph) -> NetworkContract:
    """Describe a network that was built as its contract does."""
    built = graph.network
    with_head = built.logits is not None
    return NetworkContract(
        scope=model.scope,
        image_size=model.image_size,
        min_image_size=model.min_image_size,
        input_scale=model.input_scale,
        input_offsets=model.input_offsets,
        batch_norm_decay=None if model.batch_norm is None else model.batch_norm.decay,
        weight_decay=model.weight_decay,
        head=f"{model.scope}/{model.head}" if with_head else None,
        random_in_training=tuple(sorted(_random(graph))),
        feature_vector=_spec(built.feature_vector),
        logits=_spec(built.logits) if with_head else None,
        predictions=_spec(built.predictions) if with_head else None,
        end_points={key: _spec(tensor) for key, tensor in built.end_points.items()},
        variables=_variables(graph),
    )


def _variables(graph: SlimGraph) -> dict[str, Variable]:
    nodes = {node.name: node for node in graph.graph.as_graph_def().node}
    losses = [loss.name for loss in graph.network.regularization_losses]
    regularized = set().union(*(ancestors(nodes, loss) for loss in losses))
    return {
        variable.op.name: Variable(
            shape=tuple(variable.shape),
            trainable=variable.trainable,
            regularized=variable.op.name in regularized,
        )
        for variable in graph.network.variables
    }


def _random(graph: SlimGraph) -> Iterator[str]:
    """Yield the names of the network's outputs that depend on random numbers."""
    random = {tensor.op.name for tensor in graph.draws}
    nodes = {node.name: node for node in graph.graph.as_graph_def().node} if random else {}
    for tensor in graph.network.outputs:
        if ancestors(nodes, tensor.name) & random:
            yield tensor.name


def prune(graph_def: tf.compat.v1.GraphDef, names: Iterable[str]) -> tf.compat.v1.GraphDef:
    """Return the nodes that these tensors or operations depend on, in order, without useless attributes."""
    nodes = {node.name: node for node in graph_def.node}
    needed = ancestors(nodes, *names)
    pruned = tf.compat.v1.GraphDef(versions=graph_def.versions)
    pruned.node.extend(node for node in graph_def.node if node.name in needed)
    drop_attributes(pruned.node)
    return pruned


def drop_attributes(nodes) -> None:
    """Delete the attributes of nodes that no reader needs."""
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
