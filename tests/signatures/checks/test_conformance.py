"""Good modules, other directories, and reports of both."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from stem import INCEPTIONS, STEM, STEMS, VGG_STEM, broken_copy, node, rewrite_variables
from surgery import BETA, FEATURES, FIRST, damage, ids

from slimhub.models import catalog
from slimhub.signatures.checks import conformance, registry
from slimhub.signatures.contract import contract, formats, network
from slimhub.signatures.contract.network import TensorSpec
from slimhub.signatures.module.module import Module

SLOW = pytest.mark.slow
# Those that other tests need anyhow, and the others.
QUICK = {
    *((name, "feature_vector", version) for name in STEMS for version in contract.VERSIONS),
    (VGG_STEM.name, "classification", 3),
} - {(name, "feature_vector", 1) for name in STEMS if name != STEM.name}
GOOD = [
    pytest.param(name, task, version, marks=() if (name, task, version) in QUICK else SLOW)
    for name in (*STEMS, *INCEPTIONS)
    for task in contract.TASKS
    for version in contract.VERSIONS
]


@pytest.mark.parametrize(("name", "task", "version"), GOOD)
def test_good_module(family, module, name, task, version):
    """Every module of every family passes every check of its format."""
    report = conformance.check((family if name in STEMS else module)(name, task, version))
    assert report.failed == ()
    assert report.ok
    prefix = (STEMS.get(name) or catalog.get(name)).handle_prefix
    assert report.handle == f"{prefix}/{name}/{task}/{version}"
    found = tuple(result.id for result in report.results)
    assert found == ids(contract.VERSIONS[version].format)


def problems(directory, **held_to):
    return {found.id: found.problems for found in conformance.check(directory, **held_to).failed}


def test_nan_in_a_variable(stem, tmp_path):
    """One weight that is not finite is found, whatever kernels make of it."""
    name = f"{FIRST}/weights"

    def change(m):
        rewrite_variables(m.directory, lambda arrays: arrays[name].put(0, np.nan))

    found = problems(broken_copy(stem / "1", tmp_path / "1", change))
    assert found["finite-variables"] == (f"{name}: 1 of 9408 values are not finite",)


@pytest.mark.xdist_group("inception_v1-1")
def test_training_batch_norm_at_inference(module, tmp_path):
    """A whole network whose batch norms use the batch at inference depends on the batch."""

    def change(m):
        for each in m.infer.graph_def.node:
            if each.op == "FusedBatchNormV3":
                each.attr["is_training"].b = True

    good = module("inception_v1", "feature_vector", 1)
    assert problems(broken_copy(good, tmp_path / "1", change)).keys() == {"batch-independence"}


def save_tf2(path):
    root = tf.Module()
    root.variable = tf.Variable(1.0)
    root.function = tf.function(lambda: root.variable, input_signature=[])
    tf.saved_model.save(root, path)


def changed(name, content):
    """Return a function that copies a good module, but for a file: with other content, or without it."""

    def make(path, good):
        shutil.copytree(good, path)
        (path / name).unlink()
        if content is not None:
            (path / name).write_bytes(content)

    return make


INDEX, PROVENANCE = "variables/variables.index", formats.PROVENANCE
# What is made of a good module, and what can't be read then.
NO_MODULES = {
    "absent": (lambda path, good: None, "directory"),
    "file": (lambda path, good: path.write_text("{}"), "directory"),
    "empty": (lambda path, good: path.mkdir(), "saved_model.pb"),
    "tf2": (lambda path, good: save_tf2(path), PROVENANCE),
    "no_saved_model": (changed("saved_model.pb", None), "saved_model.pb"),
    "garbage": (changed("saved_model.pb", b"garbage"), "saved_model.pb"),
    "no_graphs": (changed("saved_model.pb", b""), "saved_model.pb"),
    "no_index": (changed(INDEX, None), "variables/"),
    "garbage_index": (changed(INDEX, b"x"), "variables/"),
    "no_provenance": (changed(PROVENANCE, None), PROVENANCE),
    "no_utf_8": (changed(PROVENANCE, b"\xff"), PROVENANCE),
    "no_json": (changed(PROVENANCE, b"{"), PROVENANCE),
    "no_record": (changed(PROVENANCE, b"[]"), PROVENANCE),
}


@pytest.mark.parametrize(("make", "unreadable"), NO_MODULES.values(), ids=NO_MODULES)
def test_no_module(stem, tmp_path, make, unreadable):
    """In a directory that is no module, the file that can't be read is named, and nothing else is checked."""
    path = tmp_path / "module"
    make(path, stem / "3")
    report = conformance.check(path)
    assert not report.ok
    [readable] = report.failed
    assert readable.id == "readable"
    assert unreadable in "\n".join(readable.problems)
    assert {result.status for result in report.results[1:]} == {"not run"}
    assert (report.handle, report.weights) == (None, None)
    assert json.loads(report.to_json())["ok"] is False


def test_every_reason_at_once(tmp_path):
    """Everything that an empty directory lacks is named at once."""
    [readable] = conformance.check(tmp_path).failed
    assert len(readable.problems) == 3


def changed_variable(name, **changes):
    """Return a change of a variable of the small network."""
    variables = network.get(STEM.name).variables
    variable = dataclasses.replace(variables[name], **changes)
    return dict(variables={**variables, name: variable})


# Changes of the contract that a good module is held to instead of its own, and what fails then.
OTHER_NETWORKS = {
    "shape": (changed_variable(BETA, shape=(65,)), {"variables", "parameters"}),
    "trainable": (changed_variable(BETA, trainable=False), {"variables"}),
    "regularized": (changed_variable(BETA, regularized=True), {"regularization-losses"}),
    "image_size": (dict(image_size=(64, 64)), {"attachment"}),
    "weight_decay": (dict(weight_decay=1e-4), {"loss-values"}),
    "rescale": (dict(input_scale=1.0), {"image-range"}),
    "end_points": (dict(end_points={}), {"signature-outputs"}),
    "features": (
        dict(feature_vector=TensorSpec(name="hub_input/Sub:0", shape=(None, 7))),
        {"signature-outputs", "default-output", "tensor-names", "output-shapes"},
    ),
}


def held_to(**changes):
    """Return the promise of version 3 of the small module, with changes of its network."""
    changed = dataclasses.replace(network.get(STEM.name), **changes)
    return contract.promise(version=3, task="feature_vector", network=changed)


@pytest.mark.parametrize(("changes", "failed"), OTHER_NETWORKS.values(), ids=OTHER_NETWORKS)
def test_other_network(stem, changes, failed):
    """A module is held to the promise that is given, and not to what it says of itself."""
    found = problems(stem / "3", promise=held_to(**changes))
    assert found.keys() == {"provenance", *failed}
    [name] = changes
    [difference] = found["provenance"]
    assert difference.split(": ")[0] == f"network.{name}"


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_claim(stem, tmp_path, version):
    """A network of three layers that claims to be Inception V1 is held to that, and refused."""
    handle = f"google/imagenet/inception_v1/feature_vector/{version}"
    claims = broken_copy(
        stem / str(version),
        tmp_path / str(version),
        lambda m: m.record.update(model="inception_v1", handle=handle),
    )
    report = conformance.check(claims)
    assert report.handle == handle
    assert {
        "signature-outputs",
        "default-output",
        "parameters",
        "variables",
        "regularization-losses",
        "output-shapes",
    } <= {result.id for result in report.failed}


@pytest.mark.parametrize("version", contract.VERSIONS)
@pytest.mark.parametrize("task", contract.TASKS)
def test_older_provenance(family, tmp_path, task, version):
    """A module of an earlier release, whose provenance describes its network, passes every check."""
    older = tmp_path / str(version)
    shutil.copytree(family(STEM.name, task, version), older)
    record = json.loads((older / PROVENANCE).read_text())
    num_classes = record.pop("num_classes")
    logits = {"name": "InceptionV1/Logits/SpatialSqueeze:0", "shape": [None, num_classes]}
    interface = {"scope": "InceptionV1", "logits": logits if num_classes else None}
    (older / PROVENANCE).write_text(json.dumps({**record, "interface": interface, "sha256": "0"}))
    assert conformance.check(older).ok


def test_unknown_network(stem, tmp_path):
    """A module of a network without a contract, as of a later release, is not read."""
    unknown = broken_copy(
        stem / "3", tmp_path / "3", lambda m: m.record.update(model="inception_v9")
    )
    [readable] = conformance.check(unknown).failed
    assert readable.id == "readable"
    [problem] = readable.problems
    assert problem.startswith(f"{PROVENANCE} makes no sense: model: ")


def test_other_version(stem):
    """A module of version 3 does not keep the promise of version 1."""
    record = Module(stem / "3").provenance
    found = problems(stem / "3", promise=dataclasses.replace(record, contract=1).promise())
    assert found.keys() == {
        "provenance",
        "signature-names",
        "signature-inputs",
        "signature-outputs",
        "attachment",
        "image-sizes",
        "moving-averages",
    }
    fields = [problem.split(": ")[0] for problem in found["provenance"]]
    assert fields == ["version", "network.end_points"]


def test_many_problems(stem):
    """A report names the first of many problems of a check, and counts the others."""
    frozen = network.get(STEM.name)
    absent = {f"InceptionV1/Absent_{i}": frozen.end_points[FIRST] for i in range(30)}
    promise = held_to(end_points={**frozen.end_points, **absent})
    found = problems(stem / "3", promise=promise)["signature-outputs"]
    # 30 in each of two signatures and two tag sets.
    assert len(found) == 21
    assert found[-1] == "and 100 more"


def test_unforeseen_breakage(stem, tmp_path):
    """A check that can't cope with a module fails, and raises nothing."""
    directory = broken_copy(
        stem / "3", tmp_path / "3", lambda m: m.infer.signature_def["default"].Clear()
    )
    found = problems(directory)
    assert {"signature-inputs", "default-output", "finite-outputs"} < found.keys()
    assert found["finite-outputs"][0].startswith("the check itself failed: ")


# What else is not run then: what loads and runs modules, but for the check that fails.
@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (lambda m: setattr(node(m.train, FEATURES), "op", "ReadFile"), "operations"),
        (lambda m: m.all.meta_graphs.add().CopyFrom(m.infer), "tag-sets"),
        (damage, "loads"),
    ],
    ids=["operation", "second_meta_graph", "damaged"],
)
def test_nothing_is_run(stem, tmp_path, change, failed):
    """A graph with another operation, or of a tag set that is there twice, is not even loaded."""
    report = conformance.check(broken_copy(stem / "3", tmp_path / "3", change))
    status = {result.id: result.status for result in report.results}
    assert status.pop(failed) == "failed"
    running = registry.select(formats.TF1_HUB, registry.LOAD, registry.RUN)
    assert {status[check.id] for check in running if check.id in status} == {"not run"}


def test_json(stem):
    """The report as JSON has all that it has, and whether the module is good."""
    report = conformance.check(str(stem / "1"))
    results = json.loads(json.dumps([dataclasses.asdict(one) for one in report.results]))
    assert json.loads(report.to_json()) == {
        "schema": 1,
        "directory": str(stem / "1"),
        "handle": "google/imagenet/stem/feature_vector/1",
        "weights": "UNTRAINED: synthetic weights, for tests and demonstrations only",
        "like": None,
        "results": results,
        "ok": True,
    }
