"""Good modules, other directories, and reports of both."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from stem import (
    INCEPTIONS,
    STEM,
    STEMS,
    VGG_STEM,
    broken_copy,
    node,
    rewrite_variables,
)
from surgery import FEATURES, FIRST, both_networks, damage, ids

from slimhub.models import catalog
from slimhub.signatures.checks import conformance, registry
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.contract import contract, formats, network

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


LOGITS = "InceptionV1/Logits/SpatialSqueeze"
PREDICTIONS = "InceptionV1/Logits/Predictions/Reshape_1"
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


def give_probabilities_1(m):
    for graph in (m.infer, m.train):
        for name in ("default", "image_classification"):
            graph.signature_def[name].outputs["default"].name = f"{PREDICTIONS}:0"


def give_probabilities_5(m):
    for function in both_networks(m):
        for each in function.node_def:
            if each.op == "Identity" and each.input[0] == f"{LOGITS}:output:0":
                each.input[0] = f"{PREDICTIONS}:output:0"


@pytest.mark.parametrize(
    ("version", "change"), [(3, give_probabilities_1), (5, give_probabilities_5)]
)
def test_probabilities(family, tmp_path, version, change):
    """A module that gives probabilities is no drop-in for one that gives logits."""
    good = family(STEM.name, "classification", version)
    bad = broken_copy(good, tmp_path / str(version), change)
    like = Expectation(like=f"google/imagenet/stem/classification/{version}")
    assert problems(good, expectation=like) == {}
    assert problems(bad, expectation=like).keys() == {"logits"}


def test_many_problems(stem):
    """A report names the first of many problems of a check, and counts the others."""
    frozen = network.get(STEM.name)
    absent = {f"InceptionV1/Absent_{i}": frozen.end_points[FIRST] for i in range(30)}
    more = dataclasses.replace(frozen, end_points={**frozen.end_points, **absent})
    promise = contract.promise(version=3, task="feature_vector", network=more)
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
    assert found.keys() == {"signature-inputs", "default-output", "batch-independence"}
    assert found["batch-independence"][0].startswith("the check itself failed: ")


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
