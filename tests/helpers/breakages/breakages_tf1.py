"""Ways to break a module of the TF1 Hub format, each with the checks that it fails."""

import numpy as np
import tensorflow as tf
from stem import RESNET_STEM, STEM, VGG_STEM, node, rewrite_variables
from surgery import (
    BATCH_NORM,
    FEATURES,
    FIRST,
    MEAN,
    NAMED,
    OFFSETS,
    SCALE,
    SECOND,
    THIRD,
    TRAINING,
    add_const,
    add_node,
    add_random,
    damage,
    put,
    set_const,
)
from tensorflow.core.framework import types_pb2, variable_pb2

from slimhub.signatures.contract import formats

VGG = VGG_STEM.name
IMAGES = "hub_input/images"
FIRST_LAYER, SECOND_LAYER = f"InceptionV1/{FIRST}", f"InceptionV1/{SECOND}"
LOSS = f"{SECOND_LAYER}/kernel/Regularizer/l2_regularizer/L2Loss/ReadVariableOp"
WEIGHTS = f"{SECOND}/weights"
UPDATE = f"{BATCH_NORM}/AssignMovingAvg/AssignSubVariableOp"
ATTACHMENTS = formats.ATTACHMENTS


def collection(graph, name):
    kinds = graph.collection_def[name]
    return getattr(kinds, kinds.WhichOneof("kind") or "bytes_list").value


def signature(graph, name=NAMED):
    return graph.signature_def[name]


def copy(values, key, *, to):
    values[to].CopyFrom(values[key])


def rewire(graph, name, index, source):
    put(node(graph, name).input, index, source)


def rewrite(change):
    """Return a change of all variables on disk, which `change` gets by name."""
    return lambda m: rewrite_variables(m.directory, change)


def set_attr(graph, name, attr, field, value):
    setattr(node(graph, name).attr[attr], field, value)


def edit_first_variable(graph, **changes):
    values = collection(graph, "model_variables")
    proto = variable_pb2.VariableDef.FromString(values[0])
    for name, value in changes.items():
        setattr(proto, name, value)
    put(values, 0, proto.SerializeToString())


def wait_for_placeholder(m):
    added = m.infer.graph_def.node.add(name="x", op="Placeholder")
    added.attr["dtype"].type = types_pb2.DT_FLOAT
    node(m.infer, FEATURES).input.append("^x")


def make_mean_trainable(m):
    for serialized in collection(m.train, "variables"):
        if variable_pb2.VariableDef.FromString(serialized).variable_name == f"{MEAN}:0":
            put(collection(m.train, "trainable_variables"), 0, serialized)


def add_noise(m):
    """Multiply the features by random numbers."""
    nodes, features = m.train.graph_def.node, node(m.train, FEATURES).input
    random = add_random(nodes, add_const(nodes, [1, 1, 1, 192]))
    put(features, 0, add_node(nodes, "Mul", features[0], random))


def fix_size(graph, *sizes):
    shape = node(graph, IMAGES).attr["shape"].shape
    shape.CopyFrom(tf.TensorShape([None, *sizes, 3]).as_proto())


def update_before_read(m):
    """Assign the mean before the batch norm reads it, at inference."""
    read = node(m.infer, f"{BATCH_NORM}/FusedBatchNormV3").input[3]
    node(m.infer, read.split(":")[0]).input.append(f"^{MEAN}/Assign")


def cut_off_images(m):
    """Multiply what the network gets by 0."""
    nodes = m.infer.graph_def.node
    zeros = add_node(nodes, "Mul", "hub_input/Sub", add_const(nodes, 0.0))
    rewire(m.infer, f"{FIRST_LAYER}/Conv2D", 0, zeros)


def scale_to_bytes(m):
    for graph in (m.infer, m.train):
        set_const(node(graph, "hub_input/Mul/y"), 255.0)


def swap_statistics(m):
    for index, name in ((2, "AssignMovingAvg"), (1, "AssignMovingAvg_1")):
        rewire(m.train, f"{BATCH_NORM}/{name}/sub_1", 1, f"{BATCH_NORM}/FusedBatchNormV3:{index}")


def ignore_momentum(m):
    for each in m.train.graph_def.node:
        if "hub_input/batch_norm_momentum" in each.input:
            each.input[1] = "hub_input/batch_norm_momentum/default"


def use_other_decay(m):
    for each in m.train.graph_def.node:
        if each.name.endswith("/decay"):
            set_const(each, 1 - 0.9996)


def fix_batch_norm(m):
    """Let a batch norm use the moving averages in training, too."""
    layer = f"{FIRST_LAYER}/BatchNorm/FusedBatchNormV3"
    set_attr(m.train, layer, "is_training", "b", False)
    for index, name in ((3, "moving_mean"), (4, "moving_variance")):
        rewire(m.train, layer, index, f"{FIRST}/BatchNorm/{name}/Read/ReadVariableOp")


def drop_nothing(m):
    for rate in m.train.graph_def.node:
        if rate.name.endswith("/GreaterEqual/y"):
            set_const(rate, 0.0)


BREAKAGES = {
    "extra_file": (lambda m: (m.directory / "variables/x").touch(), "files"),
    "no_marker": (lambda m: (m.directory / "tfhub_module.pb").unlink(), "files"),
    "unfed": (
        wait_for_placeholder,
        "signature-feeds",
        "output-shapes",
        "finite-outputs",
        "batch-independence",
        "image-sizes",
        "moving-averages",
    ),
    "without_images": (
        lambda m: rewire(m.infer, FEATURES, 0, "hub_input/Sub/y"),
        "signature-feeds",
        "loads",
    ),
    "noise_on_features": (add_noise, "dropout"),
    "another_format": (
        lambda m: (m.directory / "tfhub_module.pb").write_bytes(b"\x08\x02"),
        "format-marker",
    ),
    "other_sums": (
        lambda m: m.record.update(files=[dict(name="saved_model.pb", num_bytes=1, sha256="0")]),
        "checksums",
    ),
    "infinite_weight": (
        rewrite(lambda arrays: arrays[f"{THIRD}/BatchNorm/beta"].put(0, np.inf)),
        "finite-variables",
        "finite-outputs",
        "image-sizes",
    ),
    "another_handle": (lambda m: m.record.update(handle="stem/feature_vector/1"), "provenance"),
    "path_in_provenance": (
        lambda m: m.record.update(checkpoint=[dict(name="/a/b.ckpt", num_bytes=1, sha256="")]),
        "provenance",
    ),
    "tag_sets_swapped": (lambda m: m.all.meta_graphs.reverse(), "tag-sets"),
    "no_train": (lambda m: m.all.meta_graphs.pop(), "tag-sets"),
    "no_signature": (lambda m: m.train.signature_def.pop(NAMED), "signature-names"),
    "extra_signature": (lambda m: copy(m.infer.signature_def, NAMED, to="x"), "signature-names"),
    "no_input": (
        lambda m: signature(m.infer, TRAINING).inputs.pop("batch_norm_momentum"),
        "signature-inputs",
    ),
    "fixed_batch": (
        lambda m: setattr(signature(m.train).inputs["images"].tensor_shape.dim[0], "size", 1),
        "signature-inputs",
    ),
    "no_end_point": (lambda m: signature(m.train).outputs.pop(SECOND), "signature-outputs"),
    "output_of_halves": (
        lambda m: setattr(signature(m.infer).outputs["default"], "dtype", tf.half.as_datatype_enum),
        "signature-outputs",
    ),
    "extra_output": (
        lambda m: copy(signature(m.infer, "default").outputs, "default", to="x"),
        "default-output",
    ),
    "another_tensor": (
        lambda m: setattr(signature(m.train).outputs[SECOND], "name", "hub_input/Sub:0"),
        "tensor-names",
        "output-shapes",
    ),
    "extra_collection": (
        lambda m: m.infer.collection_def["moving_vars"].bytes_list.value.append(b""),
        "supported-collections",
    ),
    "no_last_update": (
        lambda m: collection(m.train, "update_ops").pop(),
        "update-ops",
        "moving-averages",
    ),
    "updates_at_inference": (
        lambda m: m.infer.collection_def["update_ops"].node_list.value.append(f"{MEAN}/Assign"),
        "update-ops",
    ),
    "no_last_loss": (
        lambda m: collection(m.train, "regularization_losses").pop(),
        "regularization-losses",
    ),
    "loss_twice": (lambda m: rewire(m.train, LOSS, 0, f"{FIRST}/weights"), "regularization-losses"),
    "loss_of_nothing": (
        lambda m: put(collection(m.infer, "regularization_losses"), 0, "hub_input/Mul/y:0"),
        "regularization-losses",
        "loss-values",
    ),
    "no_attachment": (lambda m: m.infer.collection_def.pop(ATTACHMENTS), "attachment"),
    "another_attachment": (lambda m: put(collection(m.train, ATTACHMENTS), 0, b""), "attachment"),
    "garbage_attached": (lambda m: put(collection(m.train, ATTACHMENTS), 0, b"x"), "attachment"),
    "extra_variable": (rewrite(lambda all: all.update(global_step=np.int64(1))), "variables"),
    "no_weights": (rewrite(lambda all: all.pop(WEIGHTS)), "variables", "parameters", "loads"),
    "more_parameters": (
        rewrite(lambda all: all.update({"InceptionV1/b": np.zeros(9, np.float32)})),
        "parameters",
        "variables",
    ),
    "weights_of_any_shape": (
        lambda m: setattr(node(m.train, WEIGHTS).attr["shape"].shape, "unknown_rank", True),
        "variables",
        "loads",
    ),
    "average_is_trainable": (make_mean_trainable, "variables"),
    "too_few_trainable": (lambda m: collection(m.infer, "trainable_variables").pop(), "variables"),
    "weights_are_frozen": (lambda m: edit_first_variable(m.train, trainable=False), "variables"),
    "variable_of_no_node": (
        lambda m: edit_first_variable(m.train, variable_name="InceptionV1/absent:0"),
        "variables",
        "loads",
    ),
    "unknown_operation": (lambda m: m.infer.graph_def.node.add(name="x", op="NoOp"), "operations"),
    "unknown_attribute": (
        lambda m: set_attr(m.train, f"{MEAN}/Assign", "validate_shape", "b", True),
        "attributes",
    ),
    "function": (
        lambda m: m.train.graph_def.library.function.add(signature={"name": "f"}),
        "attributes",
    ),
    "device": (lambda m: setattr(node(m.infer, LOSS), "device", "/CPU:0"), "devices-and-paths"),
    "local_path": (
        lambda m: set_attr(m.train, WEIGHTS, "shared_name", "s", b"/home/me/weights"),
        "devices-and-paths",
    ),
    "missing_node": (
        lambda m: rewire(m.infer, FEATURES, 0, "absent"),
        "loads",
        "signature-feeds",
    ),
    "damaged_variables": (damage, "loads", "finite-variables"),
    "not_squeezed": (
        lambda m: node(m.train, FEATURES).attr["squeeze_dims"].list.i.pop(),
        "output-shapes",
    ),
    "training_batch_norm_at_inference": (
        lambda m: set_attr(
            m.infer, f"{FIRST_LAYER}/BatchNorm/FusedBatchNormV3", "is_training", "b", True
        ),
        "batch-independence",
    ),
    "constant": (cut_off_images, "image-range"),
    "another_range": (scale_to_bytes, "image-range"),
    "another_offset": (lambda m: set_const(node(m.train, "hub_input/Sub/y"), [0.0]), "image-range"),
    "not_rescaled": (
        lambda m: rewire(m.train, f"{FIRST_LAYER}/Conv2D", 0, IMAGES),
        "image-range",
    ),
    "half_rescaled": (
        lambda m: rewire(m.infer, f"{FIRST_LAYER}/Conv2D", 0, "hub_input/Mul"),
        "image-range",
    ),
    "one_size": (lambda m: fix_size(m.infer, 32, 32), "image-sizes"),
    "one_size_in_training": (lambda m: fix_size(m.train, 32, 32), "image-sizes"),
    "another_momentum": (
        lambda m: set_const(node(m.train, "hub_input/batch_norm_momentum/default"), 0.9),
        "moving-averages",
    ),
    "momentum_not_connected": (ignore_momentum, "moving-averages"),
    "mean_for_variance": (swap_statistics, "moving-averages"),
    "statistic_of_another_layer": (
        lambda m: rewire(
            m.train,
            f"{BATCH_NORM}/AssignMovingAvg/sub_1",
            1,
            f"{FIRST_LAYER}/BatchNorm/FusedBatchNormV3:1",
        ),
        "moving-averages",
    ),
    "update_at_inference": (update_before_read, "moving-averages"),
    "update_with_outputs": (
        lambda m: node(m.train, FEATURES).input.append(f"^{UPDATE}"),
        "moving-averages",
    ),
    "update_of_weights": (
        lambda m: node(m.train, UPDATE).input.append(f"^{FIRST}/weights/Assign"),
        "moving-averages",
    ),
    "no_training_batch_norm": (fix_batch_norm, "moving-averages"),
    "another_weight_decay": (lambda m: set_const(node(m.infer, SCALE), 1e-4), "loss-values"),
}
# By network and version.
TABLES = {
    (STEM.name, 3): BREAKAGES,
    # One image size, one momentum, and no attachment.
    (STEM.name, 1): {
        "any_size": (lambda m: fix_size(m.train, None, None), "image-sizes"),
        "another_momentum": (use_other_decay, "moving-averages"),
        "attachment": (
            lambda m: m.train.collection_def[ATTACHMENTS].bytes_list.value.append(b""),
            "attachment",
        ),
    },
    (RESNET_STEM.name, 3): {
        "one_offset": (
            lambda m: set_const(node(m.train, "hub_input/Sub/y"), OFFSETS),
            "image-range",
        )
    },
    (VGG, 3): {
        "no_dropout": (
            lambda m: rewire(m.train, f"{VGG}/fc7/Conv2D", 0, f"{VGG}/fc6/Relu"),
            "dropout",
        ),
        "dropout_of_nothing": (drop_nothing, "dropout"),
        "dropout_at_inference": (
            lambda m: m.infer.graph_def.CopyFrom(m.train.graph_def),
            "operations",
            "dropout",
        ),
        "momentum_of_nothing": (
            lambda m: copy(m.infer.signature_def, NAMED, to=TRAINING),
            "signature-names",
        ),
        "updates_of_nothing": (
            lambda m: m.train.collection_def["update_ops"].node_list.value.append(
                f"{VGG}/fc7/Relu"
            ),
            "update-ops",
        ),
    },
}
