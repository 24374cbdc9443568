"""signatures/tf2_checks.py: a module of version 5 that is wrong in one way fails the checks of that."""

import json

import numpy as np
import pytest
import tensorflow as tf
from stem import breakage, broken_copy, ids_of
from surgery import (
    BATCH_NORM,
    BETA,
    FEATURES,
    FIRST,
    MEAN,
    NAMED,
    SCALE,
    SECOND,
    THIRD,
    TRAINING,
    add_noise,
    both_networks,
    call_in,
    called,
    captures,
    children,
    damage,
    default,
    drop_update,
    fix_size,
    forget,
    ignore_momentum,
    inside,
    loss,
    multiply_by_offset,
    network,
    put,
    restore_swapped,
    set_const,
    spoil,
    swap_statistics,
    train_at_inference,
    variable,
)

from slimhub.signatures import conformance, formats, wiring_checks
from slimhub.signatures.saved_objects import Objects

NOT_FINITE = (
    "finite-outputs",
    "batch-independence",
    "dropout",
    "image-sizes",
    "moving-averages",
)


def interface_of(directory, **changes):
    """What the provenance of a module has of its network, changed."""
    record = json.loads((directory / formats.PROVENANCE).read_text())
    return {**record["interface"], **changes}


BREAKAGES = {
    "marker_of_tf1": breakage(
        lambda m: (m.directory / "tfhub_module.pb").touch(),
        "file not expected: tfhub_module.pb",
        "files",
    ),
    "other_sums": breakage(
        lambda m: m.record.update(files=[]), "file not expected: saved_model.pb", "checksums"
    ),
    "other_parameters": breakage(
        lambda m: m.record.update(interface=interface_of(m.directory, num_parameters=1)),
        "expected 1 numbers in all variables, got ",
        "parameters",
    ),
    "infinite_weight": breakage(
        lambda m: spoil(m, f"{THIRD}/BatchNorm/beta", np.inf),
        f"{THIRD}/BatchNorm/beta: 1 of 192 values are not finite",
        "finite-variables",
        *NOT_FINITE,
    ),
    "another_handle": breakage(
        lambda m: m.record.update(handle="stem/feature_vector/3"),
        "ends with stem/feature_vector/5, got stem/feature_vector/3",
        "provenance",
    ),
    "another_meta_graph": breakage(
        lambda m: m.all.meta_graphs.add(), "expected {serve}, got {serve}, {}", "tag-sets"
    ),
    "not_served": breakage(
        lambda m: m.infer.signature_def.pop("serving_default"),
        "signature in {serve} missing: serving_default",
        "signature-names",
    ),
    "served_integers": breakage(
        lambda m: setattr(
            m.infer.signature_def["serving_default"].inputs["inputs"],
            "dtype",
            tf.int32.as_datatype_enum,
        ),
        "{serve} serving_default input inputs: expected float32 [?, ?, ?, 3], got int32",
        "signature-inputs",
    ),
    "no_end_point": breakage(
        lambda m: m.infer.signature_def[TRAINING].outputs.pop(FIRST),
        f"{{serve}} training {TRAINING} output missing: {FIRST}",
        "signature-outputs",
    ),
    "served_doubles": breakage(
        lambda m: setattr(
            m.infer.signature_def["serving_default"].outputs["feature_vector"],
            "dtype",
            tf.double.as_datatype_enum,
        ),
        "output feature_vector: expected float32 [?, 192], got float64 [?, 192]",
        "default-output",
    ),
    "unknown_operation": breakage(
        lambda m: setattr(inside(network(m, training=True), FEATURES), "op", "Squash"),
        "{serve} has 1 of the operation Squash",
        "operations",
    ),
    "device": breakage(
        lambda m: setattr(call_in(called(m, "serve")), "device", "/CPU:0"),
        "{serve} StatefulPartitionedCall: device /CPU:0",
        "devices-and-paths",
    ),
    "another_name": breakage(
        lambda m: setattr(variable(m, BETA), "name", f"{SECOND}/beta"),
        f"variable missing: {BETA}",
        "variables",
        "shared-variables",
        "moving-averages",
    ),
    "another_shape": breakage(
        lambda m: setattr(variable(m, BETA).shape.dim[0], "size", 7),
        f"{BETA}: on disk float32 [64], in the object float32 [7]",
        "variables",
        "loads",
    ),
    "average_is_trainable": breakage(
        lambda m: setattr(variable(m, MEAN), "trainable", True),
        f"{MEAN} is a moving average, and trainable",
        "variables",
    ),
    "weights_are_frozen": breakage(
        lambda m: setattr(variable(m, f"{SECOND}/weights"), "trainable", False),
        f"{SECOND}/weights is a weight, and not trainable",
        "variables",
    ),
    "too_few_trainable": breakage(
        lambda m: children(m, "trainable_variables").pop(),
        "trainable_variables: expected 6, got 5",
        "variables",
    ),
    "variable_twice": breakage(
        lambda m: children(m, "variables").add(
            node_id=children(m, "variables")[0].node_id, local_name="12"
        ),
        "variables: expected 12, got 13, of which 12 different",
        "variables",
    ),
    "another_default_momentum": breakage(
        lambda m: setattr(default(m, 2), "float64_value", 0.9),
        "with the defaults (False, False, 0.99), got",
        "calls",
    ),
    "trains_by_default": breakage(
        lambda m: setattr(default(m, 0), "bool_value", True), "with (True, False, 0.99)", "calls"
    ),
    "no_train": breakage(
        lambda m: forget(m, "train"), "train(): there is no function train", "calls"
    ),
    "no_training_with_end_points": breakage(
        lambda m: Objects(m.infer).function("__call__").concrete_functions.pop(),
        "__call__(training=True, return_endpoints=True): expected a function of",
        "calls",
    ),
    "one_training_batch_norm": breakage(
        lambda m: setattr(
            inside(network(m, training=False), f"{BATCH_NORM}/FusedBatchNormV3").attr[
                "is_training"
            ],
            "b",
            True,
        ),
        "some batch norms are for training, others are not",
        "networks",
        "tensor-names",
        "batch-independence",
    ),
    "no_last_update": breakage(
        drop_update, "(True, 3, 6)], got [(False, 3, 0), (True, 3, 5)]", "networks", "loads"
    ),
    "another_range": breakage(
        lambda m: [set_const(inside(one, "hub_input/Mul/y"), 255.0) for one in both_networks(m)],
        "hub_input/Mul: expected the constant 2.0, got 255.0",
        "image-range",
    ),
    "another_rescaling": breakage(
        multiply_by_offset, "hub_input/Sub: got the operation Mul", "image-range"
    ),
    "not_rescaled": breakage(
        lambda m: [
            put(inside(one, f"InceptionV1/{FIRST}/Conv2D").input, 0, "images")
            for one in both_networks(m)
        ],
        f"read by hub_input/Mul alone, got InceptionV1/{FIRST}/Conv2D, hub_input/Mul",
        "image-range",
    ),
    "no_last_loss": breakage(
        lambda m: children(m, "regularization_losses").pop(),
        "expected 3, got 2",
        "regularization-losses",
    ),
    "loss_of_another_kernel": breakage(
        lambda m: put(captures(m, loss(m, 0)), 0, captures(m, loss(m, 1))[0]),
        f"{SECOND}/weights has 2 losses",
        "regularization-losses",
    ),
    "loss_of_no_kernel": breakage(
        lambda m: put(captures(m, loss(m, 0)), 0, captures(m, called(m, "serve"))[0]),
        f"number 0: expected the loss of a kernel, got that of {FIRST}/BatchNorm/beta",
        "regularization-losses",
    ),
    "damaged_variables": breakage(
        damage, "Checksum does not match", "loads", "serving", "finite-variables"
    ),
    "not_squeezed": breakage(
        lambda m: inside(network(m, training=True), FEATURES).attr["squeeze_dims"].list.i.pop(),
        f"{TRAINING} default: expected float32 [?, 192], got float32 [2, 1, 192]",
        "output-shapes",
        "moving-averages",
    ),
    "infinite_outputs": breakage(
        lambda m: spoil(m, f"{THIRD}/BatchNorm/beta", np.inf),
        f"{{serve}} {NAMED} default: 2 of 384 values are not finite",
        *NOT_FINITE,
        "finite-variables",
    ),
    "all_training_batch_norms": breakage(
        train_at_inference,
        "{serve} serving_default: image 0 alone and in a batch, expected",
        "batch-independence",
        "networks",
        "tensor-names",
    ),
    "noise_on_features": breakage(
        add_noise,
        f"{TRAINING} default: run twice on the same images",
        "dropout",
        "moving-averages",
    ),
    "one_size": breakage(fix_size, "{serve} 1 x 1: InvalidArgumentError: ", "image-sizes"),
    "restored_wrongly": breakage(
        restore_swapped, f"{MEAN}: expected what is on disk, got something else", "serving"
    ),
    "another_weight_decay": breakage(
        lambda m: set_const(inside(loss(m, 1), SCALE), 1e-4),
        f"{{serve}} {SECOND}/weights: expected the loss",
        "loss-values",
    ),
    "mean_for_variance": breakage(
        swap_statistics, "inference with what training made of", "moving-averages"
    ),
    "momentum_not_connected": breakage(
        ignore_momentum,
        f"{MEAN}: with momentum 0.5, expected",
        "moving-averages",
        "batch-independence",
        "dropout",
    ),
}


def test_good_module(stem):
    """The module that is broken here is good before."""
    assert conformance.check(stem / "5").failed == ()


@pytest.mark.parametrize(("change", "says", "failed"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(stem, tmp_path, change, says, failed):
    """A module of version 5 that is broken in one way fails the checks of that, and no others."""
    report = conformance.check(broken_copy(stem / "5", tmp_path / "5", change))
    found = {result.id: result.problems for result in report.failed}
    assert found.keys() == set(failed)
    assert says in "\n".join(found[failed[0]])


def test_every_check_can_fail():
    """There is a breakage for each check of this format, but for those of the wiring and of labels."""
    _, *ids = conformance.ids(formats.TF2_SAVED_MODEL)
    others = {*ids_of(wiring_checks.CHECKS), "labels", "assets"}
    assert {failed[0] for _, _, failed in BREAKAGES.values()} == set(ids) - others
