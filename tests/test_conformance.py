"""signatures/conformance.py: good modules, other directories, and reports of both."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from stem import INCEPTIONS, broken_copy, ids_of, rewrite_variables

from slimhub.signatures import (
    conformance,
    contract,
    formats,
    graph_checks,
    provenance,
    tf1_checks,
    tf2_checks,
    value_checks,
)
from slimhub.signatures.interface import TensorSpec

GOOD = [
    pytest.param(model, task, version, marks=pytest.mark.xdist_group(f"{model}-{version}"))
    for model in INCEPTIONS
    for task in contract.TASKS
    for version in contract.VERSIONS
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "task", "version"), GOOD)
def test_good_module(module, model, task, version):
    """Every module that can be exported passes every check."""
    report = conformance.check(module(model, task, version))
    assert (report.ok, report.failed) == (True, ())
    assert report.handle == f"google/imagenet/{model}/{task}/{version}"
    assert report.weights.startswith("UNVERIFIED")
    format = contract.VERSIONS[version].format
    assert tuple(result.id for result in report.results) == conformance.ids(format)
    assert {result.status for result in report.results} == {"passed"}


@pytest.mark.parametrize(
    ("format", "own"),
    [(formats.TF1_HUB, tf1_checks), (formats.TF2_SAVED_MODEL, tf2_checks)],
    ids=["tf1", "tf2"],
)
def test_ids(format, own):
    """Ids are those of the checks, each only once, in the order of the report."""
    checks = [
        conformance.readable,
        *graph_checks.CHECKS,
        *own.GRAPH_CHECKS,
        *own.BEFORE_LOADS,
        *value_checks.CHECKS,
        *own.VALUE_CHECKS,
    ]
    assert list(conformance.ids(format)) == ids_of(checks)
    assert len(set(conformance.ids(format))) == len(checks)


def test_nan_in_a_variable(stem, tmp_path):
    """One weight that is not finite is found, whatever kernels make of it."""
    name = "InceptionV1/Conv2d_1a_7x7/weights"

    def change(m):
        rewrite_variables(m.directory, lambda arrays: arrays[name].put(0, np.nan))

    report = conformance.check(broken_copy(stem / "1", tmp_path / "1", change))
    problems = {result.id: result.problems for result in report.failed}
    assert problems["finite-variables"] == (f"{name}: 1 of 9408 values are not finite",)


@pytest.mark.xdist_group("inception_v1-1")
def test_training_batch_norm_at_inference(module, tmp_path):
    """A whole network with batch norms that use the batch, at inference, depends on the batch."""

    def change(m):
        for each in m.infer.graph_def.node:
            if each.op == "FusedBatchNormV3":
                each.attr["is_training"].b = True

    good = module("inception_v1", "feature_vector", 1)
    [failed] = conformance.check(broken_copy(good, tmp_path / "1", change)).failed
    assert failed.id == "batch-independence"
    assert failed.problems[0].startswith("{} default: image 0 alone and in a batch, expected")


def save_tf2(path):
    root = tf.Module()
    root.variable = tf.Variable(1.0)
    root.function = tf.function(lambda: root.variable, input_signature=[])
    tf.saved_model.save(root, path)


def write(name, content):
    """Writes a file into the directory of a good module, in place of what is there."""

    def change(path, good):
        shutil.copytree(good, path)
        (path / name).write_bytes(content)

    return change


def remove(name):
    def change(path, good):
        shutil.copytree(good, path)
        (path / name).unlink()

    return change


# What is made of a good module, and what `readable` says of it.
NO_MODULES = {
    "absent": (lambda path, good: None, "module is not a directory"),
    "file": (lambda path, good: path.write_text("{}"), "module is not a directory"),
    "empty": (lambda path, good: path.mkdir(), "module is no module: it has no saved_model.pb"),
    "tf2": (lambda path, good: save_tf2(path), f"there is no {formats.PROVENANCE}"),
    "no_saved_model": (remove("saved_model.pb"), "it has no saved_model.pb"),
    "garbage": (write("saved_model.pb", b"garbage"), "saved_model.pb is no SavedModel: "),
    "no_graphs": (write("saved_model.pb", b""), "saved_model.pb is no SavedModel: it has no meta"),
    "no_index": (remove("variables/variables.index"), "variables/ is no checkpoint: "),
    "garbage_index": (write("variables/variables.index", b"x"), "variables/ is no checkpoint: "),
    "no_provenance": (remove(formats.PROVENANCE), f"there is no {formats.PROVENANCE}"),
    "no_utf_8": (write(formats.PROVENANCE, b"\xff"), f"{formats.PROVENANCE} is malformed: "),
    "no_json": (write(formats.PROVENANCE, b"{"), f"{formats.PROVENANCE} is malformed: "),
    "no_record": (write(formats.PROVENANCE, b"[]"), f"{formats.PROVENANCE} is malformed: "),
}


@pytest.mark.parametrize(("make", "says"), NO_MODULES.values(), ids=NO_MODULES)
def test_no_module(stem, tmp_path, make, says):
    """A directory that is no module is not readable, for a reason; nothing else is checked then."""
    path = tmp_path / "module"
    make(path, stem / "3")
    report = conformance.check(path)
    assert not report.ok
    [readable] = report.failed
    assert readable.id == "readable"
    assert says in "\n".join(readable.problems)
    assert {result.status for result in report.results[1:]} == {"not run"}
    assert (report.handle, report.weights) == (None, None)
    assert json.loads(report.to_json())["ok"] is False


def test_every_reason_at_once(tmp_path):
    """An empty directory is told all that is missing to be read."""
    [readable] = conformance.check(tmp_path).failed
    assert len(readable.problems) == 3


# What a good module is held to instead of its own promise, and what fails then.
OTHER_INTERFACES = {
    "variables": (dict(num_variables=13), {"variables"}),
    "parameters": (dict(num_parameters=1), {"parameters"}),
    "trainable": (dict(num_trainable_variables=7), {"variables"}),
    "scope": (dict(scope="InceptionV9"), {"variables"}),
    "batch_norms": (dict(num_batch_norms=4), {"update-ops"}),
    "losses": (dict(num_regularization_losses=4), {"regularization-losses"}),
    "image_size": (dict(image_size=(64, 64)), {"attachment"}),
    "weight_decay": (dict(weight_decay=1e-4), {"loss-values"}),
    "rescale": (dict(input_scale=1.0), {"image-range"}),
    "end_points": (dict(end_points={}), {"signature-outputs"}),
    "features": (
        dict(feature_vector=TensorSpec(name="hub_input/Sub:0", shape=(None, 7))),
        {"signature-outputs", "default-output", "tensor-names", "output-shapes"},
    ),
}


@pytest.mark.parametrize(("changes", "failed"), OTHER_INTERFACES.values(), ids=OTHER_INTERFACES)
def test_other_interface(stem, changes, failed):
    """A module is held to the promise that is given, and not to what it says of itself."""
    record = provenance.from_json((stem / "3" / formats.PROVENANCE).read_text())
    interface = dataclasses.replace(record.interface, **changes)
    promise = contract.promise(version=3, task="feature_vector", interface=interface)
    report = conformance.check(stem / "3", promise=promise)
    found = {result.id: result.problems for result in report.failed}
    assert found.keys() == {"provenance", *failed}
    [name] = changes
    assert found["provenance"][0].startswith(f"interface.{name}: expected")


def test_other_version(stem):
    """A module of version 3 does not keep the promise of version 1."""
    record = provenance.from_json((stem / "3" / formats.PROVENANCE).read_text())
    promise = dataclasses.replace(record, contract=1).promise()
    found = {r.id: r.problems for r in conformance.check(stem / "3", promise=promise).failed}
    assert found.keys() == {
        "provenance",
        "signature-names",
        "signature-inputs",
        "attachment",
        "image-sizes",
        "moving-averages",
    }
    assert found["provenance"] == ("version: expected 1, got 3",)


def test_many_problems(stem):
    """Of many problems of a check, the first are told and the others counted."""
    record = provenance.from_json((stem / "3" / formats.PROVENANCE).read_text())
    absent = {f"InceptionV1/Absent_{i}": record.interface.feature_vector for i in range(30)}
    interface = dataclasses.replace(
        record.interface, end_points={**record.interface.end_points, **absent}
    )
    promise = contract.promise(version=3, task="feature_vector", interface=interface)
    report = conformance.check(stem / "3", promise=promise)
    problems = {result.id: result.problems for result in report.failed}["signature-outputs"]
    # 30 in each of two signatures and two tag sets.
    assert len(problems) == 21
    assert problems[-1] == "and 100 more"


def test_unforeseen_breakage(stem, tmp_path):
    """A check that can't cope with a module fails, and raises nothing."""
    directory = broken_copy(
        stem / "3", tmp_path / "3", lambda m: m.infer.signature_def["default"].Clear()
    )
    found = {result.id: result.problems for result in conformance.check(directory).failed}
    assert {"signature-inputs", "default-output", "finite-outputs"} < set(found)
    assert found["finite-outputs"][0].startswith("the check itself failed: ")


def test_json(stem):
    """The report as JSON has all that it has, and whether the module is good."""
    report = conformance.check(str(stem / "1"))
    assert json.loads(report.to_json()) == {
        "directory": str(stem / "1"),
        "handle": "google/imagenet/stem/feature_vector/1",
        "weights": "UNTRAINED: synthetic weights, for tests and demonstrations only",
        "results": [{**dataclasses.asdict(result), "problems": []} for result in report.results],
        "ok": True,
    }
