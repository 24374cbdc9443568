"""Ways to break a module of version 5, each with the checks that it fails."""

import numpy as np
import tensorflow as tf
from stem import RESNET_STEM, STEM, VGG_STEM, rewrite_variables
from surgery import (
    BATCH_NORM,
    BETA,
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
    add_noise,
    applied,
    both_networks,
    call_in,
    call_instead,
    called,
    captures,
    children,
    damage,
    default,
    double_images,
    drop_update,
    fix_size,
    forget,
    ignore_momentum,
    inside,
    key_on_disk,
    loss,
    main_call,
    multiply_by_offset,
    network,
    put,
    restore_swapped,
    set_const,
    spoil,
    swap,
    swap_statistics,
    train_at_inference,
    variable,
)

from slimhub.signatures.module.objects import Objects

VGG = VGG_STEM.name


def enlarge_beta(m):
    key = key_on_disk(m, BETA)
    rewrite_variables(m.directory, lambda arrays: arrays.update({key: np.zeros(65, np.float32)}))


def set_dtype(info, dtype):
    info.dtype = dtype.as_datatype_enum


def set_each(m, name, value):
    for function in both_networks(m):
        set_const(inside(function, name), value)


def rewire_each(m, name, source):
    for function in both_networks(m):
        put(inside(function, name).input, 0, source)


def train_one_batch_norm(m):
    batch_norm = inside(network(m, training=False), f"{BATCH_NORM}/FusedBatchNormV3")
    batch_norm.attr["is_training"].b = True


def ignore_given_momentum(function):
    put(call_in(function).input, 1, f"{add_const(function.node_def, 0.99)}:output:0")


def swap_in_graph(m):
    outputs = m.infer.signature_def[NAMED].outputs
    first, second = outputs[FIRST], outputs[SECOND]
    first.name, second.name = second.name, first.name


BREAKAGES = {
    "marker_of_tf1": (lambda m: (m.directory / "tfhub_module.pb").touch(), "files"),
    "other_sums": (lambda m: m.record.update(files=[]), "checksums"),
    "another_shape_on_disk": (enlarge_beta, "variables", "parameters", "loads"),
    "infinite_weight": (
        lambda m: spoil(m, f"{THIRD}/BatchNorm/beta", np.inf),
        "finite-variables",
        "finite-outputs",
        "image-sizes",
        "inference-statistics",
    ),
    "another_handle": (lambda m: m.record.update(handle="stem/feature_vector/3"), "provenance"),
    "another_meta_graph": (lambda m: m.all.meta_graphs.add(), "tag-sets"),
    "not_served": (lambda m: m.infer.signature_def.pop("serving_default"), "signature-names"),
    "served_integers": (
        lambda m: set_dtype(m.infer.signature_def["serving_default"].inputs["inputs"], tf.int32),
        "signature-inputs",
    ),
    "no_end_point": (
        lambda m: m.infer.signature_def[TRAINING].outputs.pop(FIRST),
        "signature-outputs",
    ),
    "served_doubles": (
        lambda m: set_dtype(
            m.infer.signature_def["serving_default"].outputs["feature_vector"], tf.double
        ),
        "default-output",
    ),
    "unknown_operation": (
        lambda m: setattr(inside(network(m, training=True), FEATURES), "op", "Squash"),
        "operations",
    ),
    "device": (
        lambda m: setattr(call_in(called(m, "serve")), "device", "/CPU:0"),
        "devices-and-paths",
    ),
    "another_name": (
        lambda m: setattr(variable(m, BETA), "name", f"{SECOND}/beta"),
        "variables",
        "moving-averages",
    ),
    "another_shape": (
        lambda m: setattr(variable(m, BETA).shape.dim[0], "size", 7),
        "variables",
        "loads",
    ),
    "average_is_trainable": (lambda m: setattr(variable(m, MEAN), "trainable", True), "variables"),
    "weights_are_frozen": (
        lambda m: setattr(variable(m, f"{SECOND}/weights"), "trainable", False),
        "variables",
    ),
    "too_few_trainable": (lambda m: children(m, "trainable_variables").pop(), "variables"),
    "variable_twice": (
        lambda m: children(m, "variables").add(
            node_id=children(m, "variables")[0].node_id, local_name="12"
        ),
        "variables",
    ),
    "another_default_momentum": (
        lambda m: setattr(default(m, 2), "float64_value", 0.9),
        "calls",
        "calls-agree",
    ),
    "trains_by_default": (lambda m: setattr(default(m, 0), "bool_value", True), "calls"),
    "no_train": (lambda m: forget(m, "train"), "calls", "calls-agree"),
    "no_training_with_end_points": (
        lambda m: Objects(m.infer).function("__call__").concrete_functions.pop(),
        "calls",
        "calls-agree",
    ),
    "one_training_batch_norm": (train_one_batch_norm, "networks", "batch-independence"),
    "no_last_update": (drop_update, "networks", "loads"),
    "another_range": (lambda m: set_each(m, "hub_input/Mul/y", 255.0), "image-range"),
    "another_rescaling": (multiply_by_offset, "image-range"),
    "not_rescaled": (
        lambda m: rewire_each(m, f"InceptionV1/{FIRST}/Conv2D", "images"),
        "image-range",
    ),
    "no_last_loss": (
        lambda m: children(m, "regularization_losses").pop(),
        "regularization-losses",
    ),
    "loss_of_another_kernel": (
        lambda m: put(captures(m, loss(m, 0)), 0, captures(m, loss(m, 1))[0]),
        "regularization-losses",
    ),
    "loss_of_no_kernel": (
        lambda m: put(captures(m, loss(m, 0)), 0, captures(m, called(m, "serve"))[0]),
        "regularization-losses",
    ),
    "damaged_variables": (damage, "loads", "serving", "finite-variables"),
    "not_squeezed": (
        lambda m: inside(network(m, training=True), FEATURES).attr["squeeze_dims"].list.i.pop(),
        "output-shapes",
        "calls-agree",
        "inference-statistics",
    ),
    "all_training_batch_norms": (train_at_inference, "batch-independence", "networks"),
    "noise_on_features": (add_noise, "dropout", "calls-agree", "inference-statistics"),
    "one_size": (fix_size, "image-sizes", "serving", "calls-agree"),
    "restored_wrongly": (restore_swapped, "serving", "calls-agree"),
    "another_weight_decay": (lambda m: set_const(inside(loss(m, 1), SCALE), 1e-4), "loss-values"),
    "mean_for_variance": (swap_statistics, "inference-statistics"),
    "momentum_not_connected": (ignore_momentum, "moving-averages", "inference-statistics"),
    "end_points_of_signature_swapped": (
        lambda m: swap(applied(m, NAMED).ret, "identity", "identity_1"),
        "calls-agree",
        "inference-statistics",
    ),
    "end_points_of_call_swapped": (
        lambda m: swap(called(m, "__call__", 3).ret, "identity", "identity_1"),
        "calls-agree",
    ),
    "serve_trains": (
        lambda m: call_instead(called(m, "serve"), network(m, training=True)),
        "calls-agree",
    ),
    "train_does_not": (
        lambda m: call_instead(called(m, "train"), network(m, training=False)),
        "calls-agree",
    ),
    "another_momentum_of_train": (
        lambda m: set_const(inside(called(m, "train"), "Const"), 0.9),
        "calls-agree",
    ),
    "call_ignores_momentum": (
        lambda m: ignore_given_momentum(called(m, "__call__", 2)),
        "calls-agree",
    ),
    "signature_ignores_momentum": (
        lambda m: ignore_given_momentum(applied(m, TRAINING, depth=2)),
        "calls-agree",
        "moving-averages",
        "inference-statistics",
    ),
    "brighter_when_served": (double_images, "calls-agree"),
    "variables_of_call_swapped": (
        lambda m: swap(captures(m, called(m, "__call__")), 0, 1),
        "calls-agree",
    ),
    "variables_of_serve_swapped": (
        lambda m: swap(call_in(called(m, "serve")).input, 2, 3),
        "calls-agree",
    ),
    "variables_of_object_swapped": (
        lambda m: swap(captures(m, applied(m, "serving_default")), 0, 1),
        "calls-agree",
    ),
    "end_points_swapped_in_sessions": (swap_in_graph, "calls-agree"),
    "variables_of_graph_swapped": (
        lambda m: swap(main_call(m, "serving_default").input, 1, 2),
        "calls-agree",
    ),
}
# By network and version.
TABLES = {
    (STEM.name, 5): BREAKAGES,
    (RESNET_STEM.name, 5): {
        "one_offset": (
            lambda m: set_const(inside(network(m, training=True), "hub_input/Sub/y"), OFFSETS),
            "image-range",
            "inference-statistics",
        )
    },
    (VGG, 5): {
        "no_dropout": (
            lambda m: rewire_each(m, f"{VGG}/fc7/Conv2D", f"{VGG}/fc6/Relu:activations:0"),
            "dropout",
        ),
        "train_drops_nothing": (
            lambda m: call_instead(called(m, "train"), network(m, training=False)),
            "dropout",
        ),
    },
}
