"""A module that is wrong in one way fails the checks of that, at each level, and no others."""

import shutil

import breakages_tf1
import breakages_tf2
import levels
import pytest
import tensorflow as tf
from stem import STEM, STEMS, broken_copy, failed_checks
from surgery import TRAINING, ids, rows

from slimhub.signatures.checks import conformance, registry
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.contract import contract, formats

TABLES = {**breakages_tf1.TABLES, **breakages_tf2.TABLES}
BREAKAGES = ("model", "version", "change", "failed")


@pytest.mark.parametrize(BREAKAGES, rows(TABLES))
def test_breakage(family, tmp_path, model, version, change, failed):
    """One of slimhub's own is held to all of its contract."""
    good = family(model, "feature_vector", version)
    assert failed_checks(broken_copy(good, tmp_path / str(version), change)) == failed


@pytest.mark.parametrize(
    ("table", "format", "others"),
    [
        (breakages_tf1.BREAKAGES, formats.TF1_HUB, set()),
        (breakages_tf2.BREAKAGES, formats.TF2_SAVED_MODEL, {"assets"}),
    ],
    ids=["tf1", "tf2"],
)
def test_every_check_can_fail(table, format, others):
    """Some breakage fails each check; other tests have those of classes, and of what can't be read."""
    failed = {id for _, *checks in table.values() for id in checks}
    assert failed == set(ids(format)) - {"readable", "labels", "logits"} - others


def test_call_that_differs(stem, tmp_path):
    """A call that differs is named with its arguments, beside what it was compared with."""
    change, _ = breakages_tf2.BREAKAGES["call_ignores_momentum"]
    [failed] = conformance.check(broken_copy(stem / "5", tmp_path / "5", change)).failed
    [worst] = failed.measurements
    call = "{serve} training __call__(training=True, return_endpoints=False) with momentum 0.5"
    assert worst.where.startswith(f"{call}, InceptionV1/")
    assert worst.where.endswith(f" beside {{serve}} training {TRAINING} with momentum 0.5")
    assert not worst.ok


def judged(like, directory):
    """Return the ids of the checks that a module fails without its provenance."""
    shutil.rmtree(directory / "assets.extra", ignore_errors=True)
    report = conformance.check(directory, expectation=Expectation(like=like))
    return {result.id for result in report.failed}


def at_level(level, overrides):
    """Return parameters for all breakages: as in `rows`, with the ids that fail at that level."""
    assert overrides.keys() <= {row.id for row in rows(TABLES)}
    asked = {check.id for check in registry.CHECKS if level in check.levels}
    parameters = []
    for row in rows(TABLES):
        model, version, change, failed = row.values
        expected = overrides.get(row.id, failed & asked)
        # A SavedModel of TensorFlow 2 takes seconds.
        marks = [pytest.mark.slow] if version == 5 else []
        parameters.append(pytest.param(model, version, change, expected, id=row.id, marks=marks))
    return parameters


@pytest.mark.parametrize(BREAKAGES, at_level(contract.DROP_IN, levels.DROP_IN))
def test_drop_in(family, tmp_path, model, version, change, failed):
    """A module of somebody else is held to what users of a handle rely on."""
    good = family(model, "feature_vector", version)
    bad = broken_copy(good, tmp_path / str(version), change)
    assert judged(f"{STEMS[model].handle_prefix}/{model}/feature_vector/{version}", bad) == failed


@pytest.mark.parametrize(BREAKAGES, at_level(contract.COMMON, levels.COMMON))
def test_common_signature(family, tmp_path, model, version, change, failed):
    """A module of an unknown network is held to the common image signatures."""
    good = family(model, "feature_vector", version)
    bad = broken_copy(good, tmp_path / str(version), change)
    assert judged("image_feature_vector", bad) == failed


@pytest.mark.parametrize("model", STEMS)
@pytest.mark.parametrize("task", contract.TASKS)
@pytest.mark.parametrize("version", contract.VERSIONS)
def test_good(family, tmp_path, model, task, version):
    """A good module passes as a drop-in for its handle, and has the common image signatures."""
    directory = tmp_path / str(version)
    shutil.copytree(family(model, task, version), directory)
    handle = f"{STEMS[model].handle_prefix}/{model}/{task}/{version}"
    for like in (handle, f"image_{task}"):
        assert judged(like, directory) == set()


def test_warning(family, tmp_path):
    """Names of tensors that scripts of users may know are a warning in a drop-in."""
    change, _, *_ = breakages_tf1.BREAKAGES["another_tensor"]
    bad = broken_copy(family(STEM.name, "feature_vector", 3), tmp_path / "3", change)
    like = f"google/imagenet/{STEM.name}/feature_vector/3"
    report = conformance.check(bad, expectation=Expectation(like=like))
    status = {result.id: result.status for result in report.results}
    assert status["tensor-names"] == "warning"


def shard(directory):
    """Rewrite the variables of a module as two files, with one index."""
    folder = directory / "variables"
    reader = tf.train.load_checkpoint(str(folder / "variables"))
    names = sorted(reader.get_variable_to_shape_map())
    parts = []
    for number, some in enumerate((names[::2], names[1::2])):
        parts.append(f"{folder}/part-{number}")
        tf.raw_ops.SaveV2(
            prefix=parts[-1],
            tensor_names=some,
            shape_and_slices=[""] * len(some),
            tensors=[reader.get_tensor(name) for name in some],
        )
    for path in folder.glob("variables.*"):
        path.unlink()
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=parts, destination_prefix=f"{folder}/variables"
    )


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_welcome(stem, tmp_path, version):
    """A drop-in may have its variables in several files, and files of its own."""
    directory = tmp_path / str(version)
    shutil.copytree(stem / str(version), directory)
    shard(directory)
    assert len(list(directory.glob("variables/variables.data-*-of-00002"))) == 2
    (directory / "fingerprint.pb").write_bytes(b"")
    (directory / "README.md").write_text("Fine-tuned on flowers.")
    assert judged(f"google/imagenet/stem/feature_vector/{version}", directory) == set()
