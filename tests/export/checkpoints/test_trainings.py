"""Exports of users' own trainings: the raw weights, or their moving averages."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
from checkpoints import assert_same_weights, write_v2
from stem import STEM, STEMS, stem_in_catalog

from slimhub.export import pipeline, report
from slimhub.export.checkpoints import resolve, restore, synthetic
from slimhub.export.errors import RestoreError
from slimhub.export.request import ExportRequest
from slimhub.export.slim_graphs import SlimGraphs
from slimhub.models import catalog
from slimhub.signatures.contract import formats
from slimhub.signatures.module import provenance

HEAD = "InceptionV1/Logits/Conv2d_0c_1x1"


def average_of(name: str) -> str:
    return f"{name}/ExponentialMovingAverage"


def is_trained(name: str) -> bool:
    return "/moving_" not in name


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """Return weights of the small network with five classes. Don't change them."""
    arrays = synthetic.weights(STEM)
    head = {name: arrays[name][..., :5] for name in (f"{HEAD}/weights", f"{HEAD}/biases")}
    return {**arrays, **head}


@pytest.fixture(scope="module")
def trained(weights, tmp_path_factory) -> Path:
    """Return the directory of a training by RMSProp with moving averages, as a Saver writes it."""
    directory = tmp_path_factory.mktemp("trained")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.Variable(array, name=name, trainable=is_trained(name))
            for name, array in weights.items()
        ]
        step = tf.compat.v1.train.get_or_create_global_step()
        loss = tf.add_n([tf.nn.l2_loss(v) for v in tf.compat.v1.trainable_variables()])
        optimizer = tf.compat.v1.train.RMSPropOptimizer(0.01, 0.9, 0.9)
        train = optimizer.minimize(loss, global_step=step)
        averages = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([train]):
            train = averages.apply(variables)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        for _ in range(3):
            session.run(train)
            saver.save(session, str(directory / "model.ckpt"), global_step=step)
    return directory


@pytest.fixture
def export(tmp_path):
    """Return a function that exports a classifier in version 3."""

    def export(checkpoint: Path, *, models=(STEM.name,), **changes) -> pipeline.Outcome:
        request = ExportRequest(
            version=3,
            models=models,
            tasks=("classification",),
            checkpoint=str(checkpoint),
            output=tmp_path / "modules",
            **changes,
        )
        with stem_in_catalog():
            [outcome] = pipeline.export(request)
        return outcome

    return export


@pytest.fixture
def restored(tmp_path):
    """Return a function that restores a classifier from arrays or a checkpoint, and returns its weights."""

    def restored(checkpoint: Path | dict, **changes) -> dict[str, np.ndarray]:
        if isinstance(checkpoint, dict):
            write_v2(checkpoint, tmp_path / "model.ckpt")
            checkpoint = tmp_path / "model.ckpt"
        request = ExportRequest(version=3, **changes)
        workdir = tmp_path / "workdir"
        workdir.mkdir(exist_ok=True)
        found = resolve.resolve(str(checkpoint), model=STEM, workdir=workdir)
        graphs = SlimGraphs(request, STEM, found, workdir=workdir, executor=None)
        return graphs.restore("classification")[0].weights

    return restored


def exported(outcome: pipeline.Outcome) -> tuple[dict[str, np.ndarray], provenance.Provenance]:
    """Return the weights by name, and the provenance, of a module of version 3 that was published."""
    assert outcome.error is None, outcome.error
    record = provenance.from_json((outcome.directory / formats.PROVENANCE).read_text())
    reader = restore.Reader(outcome.directory / "variables" / "variables")
    return {name: reader.get(name) for name in reader.shapes}, record


@pytest.mark.parametrize("moving_averages", [False, True], ids=["raw", "averaged"])
def test_export(export, weights, trained, moving_averages):
    """A training is exported from its newest checkpoint: the raw weights, or their averages."""
    outcome = export(trained, moving_averages=moving_averages)
    actual, record = exported(outcome)
    reader = tf.train.load_checkpoint(str(trained / "model.ckpt-3"))
    ending = "/ExponentialMovingAverage" * moving_averages
    assert_same_weights(actual, {name: reader.get_tensor(name + ending) for name in weights})
    assert outcome.num_classes == 5
    assert outcome.checkpoint == str(trained / "model.ckpt-3")
    assert record.moving_averages is moving_averages
    assert [file.name for file in record.checkpoint] == [
        "model.ckpt-3.index",
        "model.ckpt-3.data-00000-of-00001",
    ]
    [row] = json.loads(report.to_json([outcome], importing=0))["modules"]
    assert (row["checkpoint"], row["moving_averages"]) == (outcome.checkpoint, moving_averages)


def test_averages_of_trained_variables(restored, weights):
    """If the training averaged trained variables only, batch norm's own averages stay raw."""
    halves = {name: array * np.float32(0.5) for name, array in weights.items() if is_trained(name)}
    averages = {average_of(name): array for name, array in halves.items()}
    actual = restored({**weights, **averages}, moving_averages=True)
    assert_same_weights(actual, {**weights, **halves})


@pytest.mark.parametrize("some", [False, True], ids=["none", "some"])
def test_no_averages(restored, weights, some):
    """A trainable variable without a moving average is an error that lists all of them."""
    biases = f"{HEAD}/biases"
    averages = {average_of(biases): weights[biases]} if some else {}
    with pytest.raises(RestoreError) as caught:
        restored({**weights, **averages}, moving_averages=True)
    expected = {average_of(name) for name in weights if is_trained(name)} - averages.keys()
    assert {found.name for found in caught.value.problems} == expected
    has = "moving averages of some variables only" if some else "no moving averages"
    assert caught.value.causes == (
        f"It has {has}: without --moving_averages, the raw weights are exported.",
    )


@pytest.mark.parametrize("every", [False, True], ids=["trained", "every"])
def test_averages_only(restored, weights, every):
    """A checkpoint of moving averages, of all or of trained variables only, needs the flag."""
    arrays = {
        average_of(name) if every or is_trained(name) else name: array
        for name, array in weights.items()
    }
    with pytest.raises(RestoreError) as caught:
        restored(arrays)
    assert {found.name for found in caught.value.problems} == weights.keys() - arrays.keys()
    assert_same_weights(restored(arrays, moving_averages=True), weights)


def test_half_precision(export, weights, tmp_path):
    """Weights of half the precision are exported as float32, and the provenance says so."""
    # Most such checkpoints keep batch norm's variables as they are.
    arrays = {
        name: array if "/BatchNorm/" in name else array.astype(np.float16)
        for name, array in weights.items()
    }
    write_v2(arrays, tmp_path / "model.ckpt")
    actual, record = exported(export(tmp_path / "model.ckpt"))
    assert_same_weights(actual, {name: array.astype(np.float32) for name, array in arrays.items()})
    assert record.converted_from == ("float16",)
    assert record.checkpoint[0].name == "model.ckpt.index"


def test_verbosity(restored, weights, capfd):
    """The report leaves variables out of an error only if it is not verbose."""
    with pytest.raises(RestoreError) as caught:
        restored({f"{name}/a": array for name, array in weights.items()})
    outcome = pipeline.Outcome(handle="a", error=caught.value)
    for verbose, lines in ((False, 2 * (10 + 1)), (True, 2 * 14)):
        report.show(ExportRequest(version=3), [outcome], verbose=verbose)
        assert len(capfd.readouterr().err.splitlines()) == 2 + lines


@pytest.fixture(scope="module")
def tuned(family, tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Return a directory with what TensorFlow 2 saves of a fine-tuned module, and the module's weights."""
    root = tmp_path_factory.mktemp("tuned")
    layer = hub.KerasLayer(str(family(STEM.name, "classification", 5)), trainable=True)
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(2, name="dense")])
    model.compile(tf_keras.optimizers.Adam(0.01), "mse")
    model.fit(np.ones((4, 32, 32, 3), np.float32), np.zeros((4, 2)), verbose=0)
    model.save(str(root / "keras"), save_format="tf")
    module = layer.resolved_object
    tf.saved_model.save(module, str(root / "module"))
    checkpoint = tf.train.Checkpoint(module=module)
    tf.train.CheckpointManager(checkpoint, str(root / "checkpoint"), 1).save()
    return root, {v.name.removesuffix(":0"): v.numpy() for v in module.variables}


@pytest.mark.parametrize("saved", ["module", "keras", "checkpoint"])
def test_fine_tuned(restored, tuned, saved):
    """A fine-tuned module is restored from what TensorFlow 2 saved of it."""
    root, weights = tuned
    # Keras saves its optimizer and its own layers, too.
    assert_same_weights(restored(root / saved, allow_unused=saved == "keras"), weights)


def test_fine_tuned_in_keras(restored, tuned):
    """The variables that Keras saves beside a module are unused, and nothing else is wrong."""
    root, _ = tuned
    with pytest.raises(RestoreError) as caught:
        restored(root / "keras")
    problems = caught.value.problems
    assert {found.kind for found in problems} == {"unused"}
    assert {"dense/kernel", "dense/bias", "iteration"} < {found.name for found in problems}
    assert caught.value.checkpoint == "keras/variables/variables"


@pytest.mark.parametrize("version", [3, 5])
def test_module(export, family, monkeypatch, version):
    """A module is a checkpoint of its own network, and is exported to the same weights."""
    monkeypatch.setattr(catalog, "MODELS", tuple(STEMS.values()))
    module = family(STEM.name, "classification", version)
    outcome = export(module, models=("auto",))
    actual, record = exported(outcome)
    original = restore.Reader(module / "variables" / "variables")
    assert_same_weights(actual, {name: original.get(name) for name in actual})
    assert outcome.handle == "google/imagenet/stem/classification/3"
    assert record.status == "unverified"
    of_module = {file.name: file for file in provenance.files_in(module)}
    assert {(file.name, file.sha256) for file in record.checkpoint} == {
        (name, of_module[f"variables/{name}"].sha256)
        for name in ("variables.index", "variables.data-00000-of-00001")
    }


def test_module_twice(restored, tuned, tmp_path):
    """In a checkpoint of two modules, neither is chosen."""
    root, _ = tuned
    first, second = (tf.saved_model.load(str(root / "module")) for _ in range(2))
    tf.train.Checkpoint(first=first, second=second).write(str(tmp_path / "both"))
    with pytest.raises(RestoreError) as caught:
        restored(tmp_path / "both")
    assert [found.kind for found in caught.value.problems].count("missing") == 14
