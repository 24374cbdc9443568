"""signatures/value_checks.py: a module that computes the wrong thing fails the check of that."""

import numpy as np
import pytest
import tensorflow as tf
from stem import breakage, broken_copy, ids_of, node, rewrite_variables
from tensorflow.core.framework import attr_value_pb2

from slimhub.signatures import conformance, tf1_checks, value_checks

IMAGES = "hub_input/images"
FEATURES = "hub_output/feature_vector/SpatialSqueeze"
POOL = "InceptionV1/Logits/global_pool"
FIRST = "InceptionV1/Conv2d_1a_7x7"
FIRST_LAYER = f"InceptionV1/{FIRST}"
SECOND = "InceptionV1/Conv2d_2b_1x1"
LAST_BETA = "InceptionV1/Conv2d_2c_3x3/BatchNorm/beta"
SECOND_LAYER = f"InceptionV1/{SECOND}"


def set_const(graph, name, value):
    tensor = tf.make_tensor_proto(value, dtype=node(graph, name).attr["dtype"].type)
    node(graph, name).attr["value"].tensor.CopyFrom(tensor)


def add_node(graph, op, *inputs, **attrs):
    """Adds `added/<op>`, of float32 unless told otherwise."""
    attrs = {"T": {"type": tf.float32.as_datatype_enum}} | attrs
    attr = {key: attr_value_pb2.AttrValue(**value) for key, value in attrs.items()}
    graph.graph_def.node.add(name=f"added/{op}", op=op, input=inputs, attr=attr)
    return f"added/{op}"


def add_const(graph, value):
    tensor = tf.make_tensor_proto(value)
    return add_node(graph, "Const", T={}, dtype={"type": tensor.dtype}, value={"tensor": tensor})


def rewire(graph, name, index, source):
    node(graph, name).input[index] = source


def fix_size(graph, *sizes):
    shape = node(graph, IMAGES).attr["shape"].shape
    shape.CopyFrom(tf.TensorShape([None, *sizes, 3]).as_proto())


def damage(m):
    path = m.directory / "variables" / "variables.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def put_before_read(graph, batch_norm, operation):
    """Has the operation run before the batch norm's moving mean is read."""
    read = node(graph, f"{batch_norm}/FusedBatchNormV3").input[3]
    node(graph, read.split(":")[0]).input.append(f"^{operation}")


def cut_off_images(m):
    """The network gets what it got, times 0."""
    zeros = add_node(m.infer, "Mul", "hub_input/Sub", add_const(m.infer, 0.0))
    rewire(m.infer, f"{FIRST_LAYER}/Conv2D", 0, zeros)


def add_noise(m):
    types = {
        "dtype": {"type": tf.float32.as_datatype_enum},
        "T": {"type": tf.int32.as_datatype_enum},
    }
    noise = add_node(m.train, "RandomUniform", add_const(m.train, [1, 1, 1, 192]), **types)
    rewire(m.train, FEATURES, 0, add_node(m.train, "Mul", POOL, noise))


def scale_to_bytes(m):
    for graph in (m.infer, m.train):
        set_const(graph, "hub_input/Mul/y", 255.0)


def swap_statistics(m):
    for index, name in ((2, "AssignMovingAvg"), (1, "AssignMovingAvg_1")):
        statistic = f"{SECOND_LAYER}/BatchNorm/FusedBatchNormV3:{index}"
        rewire(m.train, f"{SECOND_LAYER}/BatchNorm/{name}/sub_1", 1, statistic)


def ignore_momentum(m):
    for each in m.train.graph_def.node:
        if "hub_input/batch_norm_momentum" in each.input:
            each.input[1] = "hub_input/batch_norm_momentum/default"


def use_other_decay(m):
    for each in m.train.graph_def.node:
        if each.name.endswith("/decay"):
            set_const(m.train, each.name, 1 - 0.9996)


def fix_batch_norm(m):
    """It uses the moving averages in training, too."""
    layer = node(m.train, f"{FIRST_LAYER}/BatchNorm/FusedBatchNormV3")
    layer.attr["is_training"].b = False
    for index, name in ((3, "moving_mean"), (4, "moving_variance")):
        layer.input[index] = f"{FIRST}/BatchNorm/{name}/Read/ReadVariableOp"


CHECKS = (*value_checks.CHECKS, *tf1_checks.VALUE_CHECKS)
BREAKAGES = {
    "missing_node": breakage(
        lambda m: rewire(m.infer, FEATURES, 0, "absent"), "Unknown input node 'absent'", "loads"
    ),
    "damaged_variables": breakage(damage, "Checksum does not match", "loads", "finite-variables"),
    "not_squeezed": breakage(
        lambda m: node(m.train, FEATURES).attr["squeeze_dims"].list.i.pop(),
        "{train} default default: expected float32 [?, 192], got float32 [2, 1, 192]",
        "output-shapes",
    ),
    "infinite": breakage(
        lambda m: rewrite_variables(m.directory, lambda arrays: arrays[LAST_BETA].put(0, np.inf)),
        "{} default default: 2 of 384 values are not finite",
        "finite-outputs",
        "batch-independence",
        "dropout",
        "image-sizes",
        "finite-variables",
    ),
    "training_batch_norm_at_inference": breakage(
        lambda m: setattr(
            node(m.infer, f"{FIRST_LAYER}/BatchNorm/FusedBatchNormV3").attr["is_training"],
            "b",
            True,
        ),
        "{} default: image 0 alone and in a batch",
        "batch-independence",
    ),
    "constant": breakage(
        cut_off_images, "{} default: the same comes out for different images", "batch-independence"
    ),
    "noise_on_features": breakage(
        add_noise, "{train} image_feature_vector default: run twice", "dropout"
    ),
    "another_range": breakage(scale_to_bytes, "{}: expected 2 * images - 1", "image-range"),
    "another_offset": breakage(
        lambda m: set_const(m.train, "hub_input/Sub/y", [0.0]),
        "{train}: expected 2 * images - 1",
        "image-range",
    ),
    "not_rescaled": breakage(
        lambda m: rewire(m.train, f"{FIRST_LAYER}/Conv2D", 0, IMAGES),
        f"{{train}} {IMAGES}:0: read without rescaling, by {FIRST_LAYER}/Conv2D",
        "image-range",
    ),
    "half_rescaled": breakage(
        lambda m: rewire(m.infer, f"{FIRST_LAYER}/Conv2D", 0, "hub_input/Mul"),
        "{} hub_input/Mul:0: read without rescaling",
        "image-range",
    ),
    "one_size": breakage(lambda m: fix_size(m.infer, 32, 32), "{} 1 x 1: ", "image-sizes"),
    "one_size_in_training": breakage(
        lambda m: fix_size(m.train, 32, 32), "{train} 1 x 1: ", "image-sizes"
    ),
    "another_momentum": breakage(
        lambda m: set_const(m.train, "hub_input/batch_norm_momentum/default", 0.9),
        "with momentum 0.99, expected",
        "moving-averages",
    ),
    "momentum_not_connected": breakage(
        ignore_momentum, "with momentum 0.5, expected", "moving-averages"
    ),
    "mean_for_variance": breakage(
        swap_statistics,
        f"{{train}} {SECOND}/BatchNorm/moving_mean: with momentum",
        "moving-averages",
    ),
    "statistic_of_another_layer": breakage(
        lambda m: rewire(
            m.train,
            f"{SECOND_LAYER}/BatchNorm/AssignMovingAvg/sub_1",
            1,
            f"{FIRST_LAYER}/BatchNorm/FusedBatchNormV3:1",
        ),
        f"{SECOND}/BatchNorm/moving_mean: with momentum",
        "moving-averages",
    ),
    "update_at_inference": breakage(
        lambda m: put_before_read(
            m.infer, f"{SECOND_LAYER}/BatchNorm", f"{SECOND}/BatchNorm/moving_mean/Assign"
        ),
        f"{{}} {SECOND}/BatchNorm/moving_mean: expected it to stay when outputs were run, it moved",
        "moving-averages",
    ),
    "update_with_outputs": breakage(
        lambda m: node(m.train, FEATURES).input.append(
            f"^{SECOND_LAYER}/BatchNorm/AssignMovingAvg/AssignSubVariableOp"
        ),
        f"{{train}} {SECOND}/BatchNorm/moving_mean: expected it to stay when outputs were run, it moved",
        "moving-averages",
    ),
    "another_weight_decay": breakage(
        lambda m: set_const(
            m.infer, f"{SECOND_LAYER}/kernel/Regularizer/l2_regularizer/scale", 1e-4
        ),
        f"{{}} {SECOND}/weights: expected the loss",
        "loss-values",
    ),
    "update_of_weights": breakage(
        lambda m: node(
            m.train, f"{SECOND_LAYER}/BatchNorm/AssignMovingAvg/AssignSubVariableOp"
        ).input.append(f"^{FIRST}/weights/Assign"),
        f"{{train}} {FIRST}/weights: expected it to stay when averages were updated, it moved",
        "moving-averages",
    ),
    "no_training_batch_norm": breakage(
        fix_batch_norm,
        f"{FIRST}/BatchNorm/moving_mean: no batch norm with {FIRST}/BatchNorm/beta uses the",
        "moving-averages",
    ),
}

BREAKAGES_OF_VERSION_1 = {
    "any_size": breakage(
        lambda m: fix_size(m.train, None, None),
        "{train} 1 x 1: expected it to be refused",
        "image-sizes",
    ),
    "another_momentum": breakage(
        use_other_decay, "with momentum 0.9997, expected", "moving-averages"
    ),
}


@pytest.mark.parametrize(("change", "says", "failed"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(stem, tmp_path, change, says, failed):
    """A module of version 3 that computes one thing wrong fails the checks of that, and no others."""
    report = conformance.check(broken_copy(stem / "3", tmp_path / "3", change))
    found = {result.id: result.problems for result in report.failed}
    assert found.keys() == set(failed)
    assert says in "\n".join(found[failed[0]])


def test_every_check_can_fail():
    """There is a breakage for each check."""
    assert {failed[0] for _, _, failed in BREAKAGES.values()} == set(ids_of(CHECKS))


@pytest.mark.parametrize(
    ("change", "says", "failed"), BREAKAGES_OF_VERSION_1.values(), ids=BREAKAGES_OF_VERSION_1
)
def test_breakage_of_version_1(stem, tmp_path, change, says, failed):
    """Version 1 has one image size and one momentum."""
    [result] = conformance.check(broken_copy(stem / "1", tmp_path / "1", change)).failed
    assert (result.id,) == failed
    assert says in "\n".join(result.problems)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(node(m.train, FEATURES), "op", "ReadFile"),
        lambda m: m.all.meta_graphs.add().CopyFrom(m.infer),
    ],
    ids=["operation", "second_meta_graph"],
)
def test_nothing_is_run_that_may_do_harm(stem, tmp_path, change):
    """A graph with another operation, or of a tag set that is there twice, is not even loaded."""
    report = conformance.check(broken_copy(stem / "3", tmp_path / "3", change))
    status = {result.id: result.status for result in report.results}
    assert "failed" in (status["operations"], status["tag-sets"])
    assert {status[name] for name in ids_of(CHECKS)} == {"not run"}


def test_nothing_is_run_that_does_not_load(stem, tmp_path):
    """If one meta graph can't be loaded, no other check runs any."""
    report = conformance.check(broken_copy(stem / "3", tmp_path / "3", damage))
    status = {result.id: result.status for result in report.results}
    loads, *others = ids_of(CHECKS)
    assert status[loads] == "failed"
    assert {status[other] for other in others} == {"not run"}
