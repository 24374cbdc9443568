"""Trainings of people's own, exported: the raw weights, or their moving averages."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from inputs import write_v2
from stem import STEM, stem_in_catalog

from slimhub.export import exporter, report, synthetic
from slimhub.export.errors import RestoreError
from slimhub.export.request import ExportRequest
from slimhub.signatures import formats, provenance

HEAD = "InceptionV1/Logits/Conv2d_0c_1x1"


def weights(num_classes=5) -> dict[str, np.ndarray]:
    """Of the stem, by name."""
    with stem_in_catalog():
        found = synthetic.weights(STEM)
    for name in ("weights", "biases"):
        found[f"{HEAD}/{name}"] = found[f"{HEAD}/{name}"][..., :num_classes]
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The directory of a training of the stem, by a Saver: RMSProp, and averages of all variables."""
    directory = tmp_path_factory.mktemp("trained")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables, feeds = [], {}
        for name, array in weights().items():
            trainable = not name.rpartition("/")[2].startswith("moving_")
            initial = tf.compat.v1.placeholder(array.dtype, array.shape)
            variable = tf.compat.v1.get_variable(
                name, initializer=initial, trainable=trainable, use_resource=False
            )
            feeds[initial] = array
            variables.append(variable)
        step = tf.compat.v1.train.get_or_create_global_step()
        loss = tf.add_n([tf.nn.l2_loss(v) for v in tf.compat.v1.trainable_variables()])
        optimizer = tf.compat.v1.train.RMSPropOptimizer(0.01, 0.9, 0.9)
        train = optimizer.minimize(loss, global_step=step)
        averages = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([train]):
            train = averages.apply(variables)
        session.run(tf.compat.v1.global_variables_initializer(), feeds)
        saver = tf.compat.v1.train.Saver()
        for _ in range(3):
            session.run(train)
            saver.save(session, str(directory / "model.ckpt"), global_step=step)
    # As if it had been trained elsewhere.
    text = (directory / "checkpoint").read_text()
    (directory / "checkpoint").write_text(
        text.replace('path: "', 'path: "/train/').replace(f"/train/{directory}", "/train")
    )
    return directory


@pytest.fixture
def request_one(tmp_path, trained):
    """Asks for a classifier from that training."""
    with stem_in_catalog():
        yield ExportRequest(
            version=3,
            models=(STEM.name,),
            tasks=("classification",),
            checkpoint=str(trained),
            output=tmp_path / "modules",
        )


def arrays_of(outcome) -> dict[str, np.ndarray]:
    """The weights of a module, by name."""
    reader = tf.train.load_checkpoint(str(outcome.directory / "variables" / "variables"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.parametrize("moving_averages", [False, True], ids=["raw", "averaged"])
def test_export(request_one, trained, moving_averages):
    """A training is exported from its newest checkpoint: the raw weights, or their averages."""
    [outcome] = exporter.export(dataclasses.replace(request_one, moving_averages=moving_averages))
    assert outcome.error is None, outcome.error
    assert outcome.num_classes == 5
    assert outcome.checkpoint == str(trained / "model.ckpt-3")
    reader = tf.train.load_checkpoint(str(trained / "model.ckpt-3"))
    actual = arrays_of(outcome)
    ending = "/ExponentialMovingAverage" * moving_averages
    assert len(actual) == 14
    for name, array in actual.items():
        np.testing.assert_array_equal(array, reader.get_tensor(name + ending))
    text = (outcome.directory / formats.PROVENANCE).read_text()
    record = provenance.from_json(text)
    assert record.moving_averages is moving_averages
    assert [file.name for file in record.checkpoint] == [
        "model.ckpt-3.index",
        "model.ckpt-3.data-00000-of-00001",
    ]
    [row] = json.loads(report.to_json([outcome], importing=0))["modules"]
    assert (row["checkpoint"], row["moving_averages"]) == (outcome.checkpoint, moving_averages)


def test_report(request_one, capsys):
    """The table says which checkpoint was taken, and if these are moving averages."""
    request = dataclasses.replace(request_one, moving_averages=True, checkpoint="x")
    outcome = exporter.Outcome(
        handle="a", directory=Path("a"), checkpoint="run/model[1].ckpt-3", moving_averages=True
    )
    report.show(request, [outcome])
    assert "Checkpoint: run/model[1].ckpt-3, its moving averages" in capsys.readouterr().out


def test_averages_of_trained_variables(request_one, tmp_path):
    """Batch norm's own averages stay raw if the training averaged trained variables only."""
    arrays = weights()
    for name in list(arrays):
        if "/moving_" not in name:
            arrays[f"{name}/ExponentialMovingAverage"] = arrays[name] * np.float32(0.5)
    write_v2(arrays, tmp_path / "model.ckpt")
    request = dataclasses.replace(
        request_one, checkpoint=str(tmp_path / "model.ckpt"), moving_averages=True
    )
    [outcome] = exporter.export(request)
    assert outcome.error is None, outcome.error
    for name, array in arrays_of(outcome).items():
        factor = 1 if "/moving_" in name else 0.5
        np.testing.assert_array_equal(array, arrays[name] * np.float32(factor))


@pytest.mark.parametrize("some", [False, True], ids=["none", "some"])
def test_no_averages(request_one, tmp_path, some):
    """A trainable variable without a moving average is an error that lists all such."""
    arrays = weights()
    if some:
        name = f"{HEAD}/biases"
        arrays[f"{name}/ExponentialMovingAverage"] = arrays[name]
    write_v2(arrays, tmp_path / "model.ckpt")
    request = dataclasses.replace(
        request_one, checkpoint=str(tmp_path / "model.ckpt"), moving_averages=True
    )
    [outcome] = exporter.export(request)
    assert isinstance(outcome.error, RestoreError)
    _, *lines, hint = str(outcome.error).splitlines()
    trainable = {name for name in weights() if "/moving_" not in name}
    expected = trainable - {f"{HEAD}/biases"} if some else trainable
    assert {line.split()[2] for line in lines} == {
        f"{name}/ExponentialMovingAverage" for name in expected
    }
    assert (
        hint
        == (
            "It has moving averages of some variables only: "
            if some
            else "It has no moving averages: "
        )
        + "without --moving_averages, the raw weights are exported."
    )
