"""Write versions 1 and 3: the TF1 Hub format, a SavedModel with two tagged meta graphs.

    saved_model.pb        tag set {} for inference, then {"train"}: batch norm uses the
                          batch's statistics and has update ops, and dropout is active
    tfhub_module.pb       marks the format
    variables/            keyed by Slim's names

Each meta graph has one network, and all signatures read from it. The meta graphs have no saver:
TensorFlow's loaders and the TF Hub library create their own from the variables. TensorFlow 1.15 can
read the graphs: attributes that it doesn't know are removed.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from slimhub.export.writers import slim_graph
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.contract.network import TensorSpec
from slimhub.signatures.module import hub_protos
from slimhub.support import tf_checkpoint

GraphKeys = tf.compat.v1.GraphKeys


def write(
    directory: Path,
    *,
    promise: contract.Contract,
    definitions: slim_graph.Definitions,
    weights: Mapping[str, np.ndarray],
) -> None:
    """Write a module into an existing directory, which holds nothing but the class names, if there are any.

    Args:
      directory: where to.
      promise: which signatures to write.
      definitions: the Slim graphs.
      weights: float32 arrays by variable name, exactly those of the graphs.

    Raises:
      OSError, tf.errors.OpError: the directory can't be written.
    """
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    for mode in promise.modes:
        saved_model.meta_graphs.append(_meta_graph(definitions.of(mode), promise, mode))
    (directory / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
    marker = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3)
    (directory / formats.FORMAT_MARKER).write_bytes(marker.SerializeToString())
    (directory / "variables").mkdir()
    tf_checkpoint.write(directory / "variables" / "variables", weights)


def _meta_graph(
    definition: slim_graph.Definition, promise: contract.Contract, mode: contract.Mode
) -> meta_graph_pb2.MetaGraphDef:
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.CopyFrom(definition.meta_graph)
    meta_graph.meta_info_def.tags.extend(mode.tags)
    for signature in mode.signatures:
        meta_graph.signature_def[signature.name].CopyFrom(_signature_def(signature))
    collections = meta_graph.collection_def
    if definition.update_ops:
        collections[GraphKeys.UPDATE_OPS].node_list.value.extend(definition.update_ops)
    if promise.image_module_info:
        attachment = _image_module_info(promise.image_module_info)
        collections[formats.ATTACHMENTS].bytes_list.value.append(attachment)
    _prune(meta_graph, definition, mode)
    return meta_graph


def _signature_def(signature: contract.Signature) -> meta_graph_pb2.SignatureDef:
    def tensor_info(spec: TensorSpec):
        return meta_graph_pb2.TensorInfo(
            name=spec.name,
            dtype=tf.as_dtype(spec.dtype).as_datatype_enum,
            tensor_shape=tf.TensorShape(spec.shape).as_proto(),
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


def _prune(meta_graph, definition: slim_graph.Definition, mode: contract.Mode) -> None:
    """Remove the nodes that no signature, loss, update or variable needs."""
    reached = [
        spec.name
        for signature in mode.signatures
        for spec in (*signature.inputs.values(), *signature.outputs.values())
    ]
    reached += [*definition.regularization_losses, *definition.update_ops]
    for serialized in meta_graph.collection_def[GraphKeys.GLOBAL_VARIABLES].bytes_list.value:
        proto = variable_pb2.VariableDef.FromString(serialized)
        reached += [proto.initializer_name, proto.initial_value_name, proto.snapshot_name]
    graph_def = slim_graph.prune(meta_graph.graph_def, reached)
    meta_graph.graph_def.CopyFrom(graph_def)
    used = {node.op for node in graph_def.node}
    operations = meta_graph.meta_info_def.stripped_op_list.op
    described = [operation for operation in operations if operation.name in used]
    del operations[:]
    operations.extend(described)
