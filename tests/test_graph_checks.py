"""signatures/graph_checks.py: a module that is wrong in one way fails one check, which says how."""

import numpy as np
import pytest
import tensorflow as tf
from stem import breakage, broken_copy, ids_of, node, rewrite_variables
from tensorflow.core.framework import types_pb2, variable_pb2

from slimhub.signatures import conformance, formats, graph_checks, tf1_checks

NAMED = "image_feature_vector"
END_POINT = "InceptionV1/Conv2d_2b_1x1"
LAYER = f"InceptionV1/{END_POINT}"
LOSS = f"{LAYER}/kernel/Regularizer/l2_regularizer/L2Loss/ReadVariableOp"
WEIGHTS = f"{END_POINT}/weights"
OTHER_WEIGHTS = "InceptionV1/Conv2d_1a_7x7/weights"
ATTACHMENTS = formats.ATTACHMENTS
SIZE = "('image_module_info', (32, 32))"
FEATURES = "hub_output/feature_vector/SpatialSqueeze"
LAST_BETA = "InceptionV1/Conv2d_2c_3x3/BatchNorm/beta"
MEAN = f"{END_POINT}/BatchNorm/moving_mean"


def collection(graph, name):
    kinds = graph.collection_def[name]
    return getattr(kinds, kinds.WhichOneof("kind") or "bytes_list").value


def signature(graph, name=NAMED):
    return graph.signature_def[name]


def rename(info, name):
    info.name = name


def resize(info, size):
    info.tensor_shape.dim[0].size = size


def put(values, value):
    values[0] = value


def copy(values, key, *, to):
    values[to].CopyFrom(values[key])


def edit_first_variable(graph, **changes):
    values = collection(graph, "model_variables")
    proto = variable_pb2.VariableDef.FromString(values[0])
    for name, value in changes.items():
        setattr(proto, name, value)
    put(values, proto.SerializeToString())


def wait_for_placeholder(graph, name):
    added = graph.graph_def.node.add(name="x", op="Placeholder")
    added.attr["dtype"].type = types_pb2.DT_FLOAT
    node(graph, name).input.append("^x")


def make_trainable(graph, name):
    for serialized in collection(graph, "variables"):
        if variable_pb2.VariableDef.FromString(serialized).variable_name == f"{name}:0":
            put(collection(graph, "trainable_variables"), serialized)


BREAKAGES = {
    "extra_file": breakage(
        lambda m: (m.directory / "variables/x").touch(), "not expected: variables/x", "files"
    ),
    "no_marker": breakage(
        lambda m: (m.directory / "tfhub_module.pb").unlink(), "missing: tfhub_module.pb", "files"
    ),
    "unfed": breakage(
        lambda m: wait_for_placeholder(m.infer, FEATURES),
        "{} default default: needs x, which is none of its inputs",
        "signature-feeds",
        "output-shapes",
        "finite-outputs",
        "batch-independence",
        "dropout",
        "image-sizes",
        "moving-averages",
    ),
    "another_format": breakage(
        lambda m: (m.directory / "tfhub_module.pb").write_bytes(b"\x08\x02"),
        "expected the bytes 08 03, got 08 02",
        "format-marker",
    ),
    "other_sums": breakage(
        lambda m: m.record.update(files=[dict(name="saved_model.pb", num_bytes=1, sha256="0")]),
        "saved_model.pb: expected 1 bytes with the SHA-256 0, got ",
        "checksums",
    ),
    "infinite_weight": breakage(
        lambda m: rewrite_variables(m.directory, lambda arrays: arrays[LAST_BETA].put(0, np.inf)),
        f"{LAST_BETA}: 1 of 192 values are not finite",
        "finite-variables",
        "finite-outputs",
        "batch-independence",
        "dropout",
        "image-sizes",
    ),
    "another_handle": breakage(
        lambda m: m.record.update(handle="stem/feature_vector/1"),
        "ends with stem/feature_vector/3, got stem/feature_vector/1",
        "provenance",
    ),
    "path_in_provenance": breakage(
        lambda m: m.record.update(checkpoint=[dict(name="/a/b.ckpt", num_bytes=1, sha256="")]),
        "expected the name of a file without its folder, got /a/b.ckpt",
        "provenance",
    ),
    "tag_sets_swapped": breakage(
        lambda m: m.all.meta_graphs.reverse(), "{}, {train}, got {train}, {}", "tag-sets"
    ),
    "no_train": breakage(
        lambda m: m.all.meta_graphs.pop(), "expected {}, {train}, got {}", "tag-sets"
    ),
    "no_signature": breakage(
        lambda m: m.train.signature_def.pop(NAMED),
        f"in {{train}} missing: {NAMED}",
        "signature-names",
    ),
    "extra_signature": breakage(
        lambda m: copy(m.infer.signature_def, NAMED, to="x"),
        "signature in {} not expected: x",
        "signature-names",
    ),
    "no_input": breakage(
        lambda m: signature(m.infer, f"{NAMED}_with_bn_hparams").inputs.pop("batch_norm_momentum"),
        f"{{}} {NAMED}_with_bn_hparams input missing: batch_norm_momentum",
        "signature-inputs",
    ),
    "fixed_batch": breakage(
        lambda m: resize(signature(m.train).inputs["images"], 1),
        "images: expected float32 [?, ?, ?, 3], got float32 [1, ?, ?, 3]",
        "signature-inputs",
    ),
    "no_end_point": breakage(
        lambda m: signature(m.train).outputs.pop(END_POINT),
        f"{{train}} {NAMED} output missing: {END_POINT}",
        "signature-outputs",
    ),
    "output_of_halves": breakage(
        lambda m: setattr(signature(m.infer).outputs["default"], "dtype", tf.half.as_datatype_enum),
        f"{{}} {NAMED} output default: expected float32 [?, 192], got float16 [?, 192]",
        "signature-outputs",
    ),
    "extra_output": breakage(
        lambda m: copy(signature(m.infer, "default").outputs, "default", to="x"),
        "{} default output not expected: x",
        "default-output",
    ),
    "another_tensor": breakage(
        lambda m: rename(signature(m.train).outputs[f"{END_POINT}"], "hub_input/Sub:0"),
        f"{{train}} {NAMED} {END_POINT}: expected {LAYER}/Relu:0, got hub_input/Sub:0",
        "tensor-names",
        "output-shapes",
    ),
    "extra_collection": breakage(
        lambda m: m.infer.collection_def["moving_vars"].bytes_list.value.append(b""),
        "{} has the collection moving_vars",
        "supported-collections",
    ),
    "no_last_update": breakage(
        lambda m: collection(m.train, "update_ops").pop(),
        "{train}: expected 6, got 5",
        "update-ops",
        "moving-averages",
    ),
    "update_at_inference": breakage(
        lambda m: m.infer.collection_def["update_ops"].node_list.value.append(f"{MEAN}/Assign"),
        "{}: expected 0, got 1",
        "update-ops",
    ),
    "no_last_loss": breakage(
        lambda m: collection(m.train, "regularization_losses").pop(),
        "{train}: expected 3, got 2",
        "regularization-losses",
    ),
    "loss_twice": breakage(
        lambda m: put(node(m.train, LOSS).input, OTHER_WEIGHTS),
        f"{OTHER_WEIGHTS} has the loss",
        "regularization-losses",
    ),
    "loss_of_nothing": breakage(
        lambda m: put(collection(m.infer, "regularization_losses"), "hub_input/Mul/y:0"),
        "{} hub_input/Mul/y:0: expected an L2 loss of one variable, got one of none",
        "regularization-losses",
        "loss-values",
    ),
    "no_attachment": breakage(
        lambda m: m.infer.collection_def.pop(ATTACHMENTS),
        f"{{}}: expected [{SIZE}], got []",
        "attachment",
    ),
    "another_attachment": breakage(
        lambda m: put(collection(m.train, ATTACHMENTS), b""),
        f"{{train}}: expected [{SIZE}], got [('', (0, 0))]",
        "attachment",
    ),
    "garbage_attached": breakage(
        lambda m: put(collection(m.train, ATTACHMENTS), b"x"),
        "{train}: can't be parsed",
        "attachment",
    ),
    "extra_variable": breakage(
        lambda m: rewrite_variables(m.directory, lambda all: all.update(global_step=np.int64(1))),
        "global_step is not in the scope InceptionV1",
        "variables",
    ),
    "no_weights": breakage(
        lambda m: rewrite_variables(m.directory, lambda all: all.pop(WEIGHTS)),
        f"variable in {{}} not expected: {WEIGHTS}",
        "variables",
        "parameters",
        "loads",
    ),
    "more_parameters": breakage(
        lambda m: rewrite_variables(
            m.directory, lambda all: all.update({"InceptionV1/b": np.zeros(9, np.float32)})
        ),
        " numbers in all variables, got ",
        "parameters",
        "variables",
    ),
    "weights_of_any_shape": breakage(
        lambda m: setattr(node(m.train, WEIGHTS).attr["shape"].shape, "unknown_rank", True),
        "on disk float32 [1, 1, 64, 64], in the graph float32 of unknown rank",
        "variables",
        "loads",
    ),
    "average_is_trainable": breakage(
        lambda m: make_trainable(m.train, MEAN),
        f"{{train}} trainable_variables: {MEAN} is a moving average, and trainable",
        "variables",
    ),
    "too_few_trainable": breakage(
        lambda m: collection(m.infer, "trainable_variables").pop(),
        "{} trainable_variables: expected 6, got 5",
        "variables",
    ),
    "weights_are_frozen": breakage(
        lambda m: edit_first_variable(m.train, trainable=False),
        f"{{train}} model_variables: {OTHER_WEIGHTS} is a weight, and not trainable",
        "variables",
    ),
    "variable_of_no_node": breakage(
        lambda m: edit_first_variable(m.train, variable_name="InceptionV1/absent:0"),
        "{train} model_variables: InceptionV1/absent is not in the graph",
        "variables",
        "loads",
    ),
    "unknown_operation": breakage(
        lambda m: m.infer.graph_def.node.add(name="x", op="NoOp"),
        "{} has 1 of the operation NoOp",
        "operations",
    ),
    "unknown_attribute": breakage(
        lambda m: setattr(node(m.train, f"{MEAN}/Assign").attr["validate_shape"], "b", True),
        "{train} has 1 of the attribute validate_shape at operations AssignVariableOp",
        "attributes",
    ),
    "function": breakage(
        lambda m: m.train.graph_def.library.function.add(signature={"name": "f"}),
        "{train} has a library of functions",
        "attributes",
    ),
    "device": breakage(
        lambda m: setattr(node(m.infer, LOSS), "device", "/CPU:0"),
        f"{{}} {LOSS}: device /CPU:0",
        "devices-and-paths",
    ),
    "local_path": breakage(
        lambda m: setattr(node(m.train, WEIGHTS).attr["shared_name"], "s", b"/home/me/weights"),
        f"{{train}} {WEIGHTS}: shared_name is b'/home/me/weights'",
        "devices-and-paths",
    ),
}


@pytest.mark.parametrize("version", [1, 3])
def test_good_module(stem, version):
    """The module that is broken here is good before."""
    assert conformance.check(stem / str(version)).failed == ()


@pytest.mark.parametrize(("change", "says", "failed"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(stem, tmp_path, change, says, failed):
    """A module of version 3 that is broken in one way fails the checks of that, and no others."""
    report = conformance.check(broken_copy(stem / "3", tmp_path / "3", change))
    found = {result.id: result.problems for result in report.failed}
    assert found.keys() == set(failed)
    assert says in "\n".join(found[failed[0]])


def test_every_check_can_fail():
    """There is a breakage for each check, those of labels in the tests of these."""
    checks = (*graph_checks.CHECKS, *tf1_checks.GRAPH_CHECKS)
    found = {failed[0] for _, _, failed in BREAKAGES.values()}
    assert found | {"labels"} == set(ids_of(checks))


def test_attachment_in_version_1(stem, tmp_path):
    """Version 1 has no attachment."""

    def attach(m):
        m.train.collection_def[ATTACHMENTS].bytes_list.value.append(b"")

    [failed] = conformance.check(broken_copy(stem / "1", tmp_path / "1", attach)).failed
    assert failed.id == "attachment"
    assert failed.problems == ("{train}: expected [], got [('', (0, 0))]",)
