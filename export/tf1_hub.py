"""Writes versions 1 and 3: the TF1 Hub format, a SavedModel with two tagged meta graphs.

    saved_model.pb        tag set {} for inference, then {"train"}: batch norm uses the
                          statistics of the batch and has update ops, dropout is active
    tfhub_module.pb       marks the format
    variables/            keyed by Slim's names

Both meta graphs have one network each, all signatures read from it. There is no saver in
them: TensorFlow's loaders and the TF Hub library make their own from the variables. Old
TensorFlow (1.15) reads them: attributes that it does not know are removed.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from slimhub.models import network
from slimhub.models.catalog import Model
from slimhub.signatures import contract, hub_protos

GraphKeys = tf.compat.v1.GraphKeys

_COLLECTIONS = (
    GraphKeys.GLOBAL_VARIABLES,
    GraphKeys.MODEL_VARIABLES,
    GraphKeys.TRAINABLE_VARIABLES,
    GraphKeys.REGULARIZATION_LOSSES,
)

# `debug_name` is new in TF 2.21, and TF 1.15 refuses a graph with it. The others only weigh:
# colocation with a variable means nothing to one network on one device, and shapes are inferred.
_DROPPED_ATTRS = ("debug_name", "_class", "_output_shapes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltGraph:
    """A graph that holds one network and the placeholders that feed it."""

    graph: tf.Graph
    network: network.Network


def build(model: Model, *, version: int, num_classes: int | None, training: bool) -> BuiltGraph:
    """Builds the graph of one tag set.

    Args:
      model: which network.
      version: whose contract gives the image shape and batch norm's momentum.
      num_classes: of the classification layer; None leaves it out.
      training: the graph of `{"train"}`, else that of `{}`.
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
    return BuiltGraph(graph=graph, network=built)


def interface(model: Model, built: network.Network) -> contract.Interface:
    """What the contract has to know of a network that was built."""
    heads = 0 if built.logits is None else 1
    return contract.Interface(
        scope=model.scope,
        image_size=model.image_size,
        min_image_size=model.min_image_size,
        rescale=model.rescale,
        batch_norm_decay=model.batch_norm_decay,
        num_batch_norms=model.num_batch_norms,
        num_regularization_losses=model.num_regularized - 1 + heads,
        num_variables=len(built.variables),
        num_trainable_variables=sum(variable.trainable for variable in built.variables),
        feature_vector=_spec(built.feature_vector),
        logits=_spec(built.logits) if heads else None,
        predictions=_spec(built.predictions) if heads else None,
        end_points={key: _spec(tensor) for key, tensor in built.end_points.items()},
    )


def write(
    directory: Path,
    *,
    promise: contract.Promise,
    graphs: Mapping[tuple[str, ...], BuiltGraph],
    weights: Mapping[str, np.ndarray],
) -> None:
    """Writes a module into an existing, empty directory.

    Args:
      directory: where to.
      promise: which signatures to write.
      graphs: the graph of each tag set.
      weights: float32 arrays by variable name, exactly those of the graphs.

    Raises:
      OSError, tf.errors.OpError: the directory can't be written.
    """
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    for tag_set in promise.tag_sets:
        saved_model.meta_graphs.append(_meta_graph(graphs[tag_set.tags], promise, tag_set))
    (directory / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
    marker = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3)
    (directory / contract.FORMAT_MARKER).write_bytes(marker.SerializeToString())
    (directory / "variables").mkdir()
    names = sorted(weights)
    tf.raw_ops.SaveV2(
        prefix=str(directory / "variables" / "variables"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[weights[name] for name in names],
    )


def _placeholder(spec: contract.TensorSpec, *, default=None) -> tf.Tensor:
    scope, name = spec.name.removesuffix(":0").split("/")
    with tf.name_scope(f"{scope}/"):
        if default is None:
            return tf.compat.v1.placeholder(spec.dtype, spec.shape, name=name)
        default = tf.constant(default, spec.dtype, name=f"{name}/default")
        return tf.compat.v1.placeholder_with_default(default, spec.shape, name=name)


def _spec(tensor: tf.Tensor) -> contract.TensorSpec:
    return contract.TensorSpec(
        name=tensor.name, shape=tuple(tensor.shape.as_list()), dtype=tensor.dtype.name
    )


def _meta_graph(built: BuiltGraph, promise: contract.Promise, tag_set: contract.TagSet):
    with built.graph.as_default():
        meta_graph = tf.compat.v1.train.export_meta_graph(
            clear_devices=True, strip_default_attrs=True, collection_list=_COLLECTIONS
        )
    meta_graph.meta_info_def.tags.extend(tag_set.tags)
    for signature in promise.signatures:
        meta_graph.signature_def[signature.name].CopyFrom(_signature_def(built.graph, signature))
    collections = meta_graph.collection_def
    if built.network.update_ops:
        updates = [op.name for op in built.network.update_ops]
        collections[GraphKeys.UPDATE_OPS].node_list.value.extend(updates)
    if promise.image_module_info:
        attachment = _image_module_info(promise.image_module_info)
        collections[contract.ATTACHMENTS].bytes_list.value.append(attachment)
    _prune(meta_graph, built, promise)
    return meta_graph


def _signature_def(graph: tf.Graph, signature: contract.Signature):
    def tensor_info(spec):
        tensor = graph.get_tensor_by_name(spec.name)
        return meta_graph_pb2.TensorInfo(
            name=tensor.name,
            dtype=tensor.dtype.as_datatype_enum,
            tensor_shape=tensor.shape.as_proto(),
        )

    return meta_graph_pb2.SignatureDef(
        inputs={key: tensor_info(spec) for key, spec in signature.inputs.items()},
        outputs={key: tensor_info(spec) for key, spec in signature.outputs.items()},
        method_name=tf.compat.v1.saved_model.signature_constants.PREDICT_METHOD_NAME,
    )


def _image_module_info(image_size: tuple[int, int]) -> bytes:
    height, width = image_size
    info = hub_protos.ImageModuleInfo(default_image_size={"height": height, "width": width})
    return hub_protos.ModuleAttachment(
        key=hub_protos.IMAGE_MODULE_INFO, value=info.SerializeToString(deterministic=True)
    ).SerializeToString(deterministic=True)


def _prune(meta_graph, built: BuiltGraph, promise: contract.Promise) -> None:
    """Keeps only what a consumer can reach: signatures, losses, updates, variables."""
    tensors = [
        spec.name
        for signature in promise.signatures
        for spec in (*signature.inputs.values(), *signature.outputs.values())
    ]
    tensors += [loss.name for loss in built.network.regularization_losses]
    tensors += [op.name for op in built.network.update_ops]
    for serialized in meta_graph.collection_def[GraphKeys.GLOBAL_VARIABLES].bytes_list.value:
        proto = variable_pb2.VariableDef.FromString(serialized)
        tensors += [proto.initializer_name, proto.initial_value_name, proto.snapshot_name]
    nodes = meta_graph.graph_def.node
    kept = _with_ancestors(nodes, tensors)
    _filter(nodes, lambda node: node.name in kept)
    for node in nodes:
        for attr in _DROPPED_ATTRS:
            node.attr.pop(attr, None)
    used = {node.op for node in nodes}
    _filter(meta_graph.meta_info_def.stripped_op_list.op, lambda op: op.name in used)


def _with_ancestors(nodes, tensors) -> set[str]:
    inputs = {node.name: node.input for node in nodes}
    seen, waiting = set(), list(tensors)
    while waiting:
        name = waiting.pop().removeprefix("^").split(":")[0]
        if name not in seen:
            seen.add(name)
            waiting.extend(inputs[name])
    return seen


def _filter(repeated, keep) -> None:
    for index in reversed(range(len(repeated))):
        if not keep(repeated[index]):
            del repeated[index]
