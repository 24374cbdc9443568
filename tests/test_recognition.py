"""export/recognition.py: of which network a checkpoint is, and what it may be of otherwise."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import program
import pytest
import tensorflow as tf
from inputs import write_v2
from stem import STEM, stem_in_catalog

from slimhub.export import checkpoint, exporter, recognition, restore, synthetic
from slimhub.export.errors import RestoreError
from slimhub.export.request import ExportRequest
from slimhub.models import catalog

ONE = np.ones(1, np.float32)
KERNEL = "InceptionV2/Conv2d_1a_7x7/weights"


def write(path: Path, *names: str) -> Path:
    """Writes a checkpoint of small variables."""
    write_v2(dict.fromkeys(names, ONE), path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(RestoreError) as caught:
        recognition.model_of(path)
    assert caught.value.exit_code == 3
    return str(caught.value)


def likely(path: Path, model="inception_v1") -> str:
    """The last line of the message that a restore of other variables ends with."""
    wanted = f"{catalog.get(model).scope}/Conv2d_1a_7x7/BatchNorm/beta"
    with pytest.raises(RestoreError) as caught:
        restore.restore(restore.Reader(path), model=catalog.get(model), shapes={wanted: (1,)})
    return str(caught.value).splitlines()[-1]


@pytest.mark.parametrize("model", catalog.MODELS, ids=lambda model: model.name)
def test_scope(tmp_path, model):
    """The outermost scope tells the network, whatever else a training left."""
    names = (f"{model.scope}/Conv/weights", f"{model.scope}/Conv/weights/Momentum", "global_step")
    assert recognition.model_of(write(tmp_path / "model.ckpt", *names)) is model


def test_several(tmp_path):
    """If it could be of several networks, the error names all of them."""
    path = write(tmp_path / "model.ckpt", KERNEL, KERNEL.replace("V2", "V1"))
    assert refusal(path) == (
        "model.ckpt could be of 2 networks, by its scopes: choose --model=inception_v1 or "
        "--model=inception_v2."
    )


def test_none(tmp_path):
    """If it is of no known network, the error says which scopes it has, and which are known."""
    path = write(tmp_path / "model.ckpt", "MyNet/a", "global_step")
    assert refusal(path).splitlines()[:2] == [
        "model.ckpt has the scope of no network that is known here.",
        "It is of another network: its scopes are MyNet, global_step.",
    ]
    assert "InceptionV2 (inception_v2)" in refusal(path).splitlines()[2]


def test_other_network(tmp_path):
    """A checkpoint of another network of the catalog is told to be so, with the flag for it."""
    assert likely(write(tmp_path / "model.ckpt", KERNEL)) == (
        "It is of another network: its scopes are InceptionV2, which fit inception_v2 "
        "(--model=inception_v2)."
    )


@pytest.mark.parametrize("model", ["inception_v1", "inception_v2"])
def test_prefix(tmp_path, model):
    """A network that is part of another is told by the scope around it."""
    first, second = "FirstStageFeatureExtractor", "SecondStageFeatureExtractor"
    names = (f"{first}/{KERNEL}", f"{second}/{KERNEL}", "Conv/weights")
    path = write(tmp_path / "model.ckpt", *names)
    said = f"Its variables of InceptionV2 are below {first}, {second}, as in a network that is part"
    assert likely(path, model).startswith(said)
    assert said in refusal(path)


def test_objects(tmp_path):
    """A checkpoint of TensorFlow 2 is told to be one."""
    layers = {"layer_with_weights-0": tf.Variable(ONE), "optimizer": tf.Variable(ONE)}
    path = tmp_path / "model.ckpt"
    tf.train.Checkpoint(**layers).write(str(path))
    assert likely(path).startswith(
        "It is a checkpoint of objects, as Keras and tf.train.Checkpoint"
    )
    assert "It is a checkpoint of objects" in refusal(path)


@pytest.fixture(scope="module")
def v1_file(tmp_path_factory) -> Path:
    """A V1 file of the stem, under no name that says so."""
    path = tmp_path_factory.mktemp("auto") / "flowers.ckpt-7"
    with stem_in_catalog():
        synthetic.write_checkpoint(synthetic.weights(STEM), path)
    return path


@pytest.fixture
def export(tmp_path, monkeypatch):
    """A function that exports a feature vector of whichever network of two a checkpoint is of.

    For the time of the test, these are the catalog.
    """
    monkeypatch.setattr(catalog, "MODELS", (catalog.get("inception_v2"), STEM))

    def export(source: Path) -> exporter.Outcome:
        request = ExportRequest(
            version=3,
            models=("auto",),
            tasks=("feature_vector",),
            checkpoint=str(source),
            output=tmp_path / "modules",
        )
        with stem_in_catalog():
            [outcome] = exporter.export(request)
        return outcome

    return export


def archived(path: Path, into: Path) -> Path:
    """An archive with the file under the name of another network's member."""
    other = dataclasses.replace(catalog.get("inception_v2").archive, name="mine.tar.gz")
    with pytest.MonkeyPatch.context() as patch:
        content = path.read_bytes()
        patch.setattr(synthetic, "weights", lambda model: None)
        patch.setattr(synthetic, "write_checkpoint", lambda _, to: to.write_bytes(content))
        return synthetic.write_archive(dataclasses.replace(STEM, archive=other), into=into)


def trained(path: Path, into: Path) -> Path:
    (into / path.name).write_bytes(path.read_bytes())
    (into / "checkpoint").write_text(f'model_checkpoint_path: "/train/{path.name}"\n')
    return into


SOURCES = {
    "file": lambda path, into: path,
    "archive": archived,
    "directory": trained,
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_sources(export, v1_file, tmp_path, source):
    """The network is found in a file, an archive with any member, and a training."""
    for name in ("source", "workdir"):
        (tmp_path / name).mkdir()
    path = source(v1_file, tmp_path / "source")
    found = checkpoint.resolve(str(path), model=None, workdir=tmp_path / "workdir")
    assert recognition.model_of(found.path) is STEM


def test_auto(export, v1_file):
    """A checkpoint is exported as a module of the network that it is of."""
    outcome = export(v1_file)
    assert outcome.error is None, outcome.error
    assert outcome.handle == "google/imagenet/stem/feature_vector/3"


def test_auto_of_none(export, tmp_path):
    """Without a network there is no handle either, but one error."""
    outcome = export(write(tmp_path / "model.ckpt", "MyNet/a"))
    assert outcome.handle == "auto"
    assert "its scopes are MyNet." in str(outcome.error)


def test_auto_by_command_line(tmp_path):
    """The command line says which networks it could be, in its report too."""
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "model.ckpt", KERNEL.replace("V2", "V1"))
    flags = ("--version=3", "--model=auto", "--checkpoint=model.ckpt", "--json")
    done = program.run(*flags, cwd=tmp_path / "run")
    assert done.code == 3
    assert done.stderr == (
        "auto not exported:\nmodel.ckpt could be of 2 networks, by its scopes: choose --model=stem "
        "or --model=inception_v1.\n"
    )
    [found] = json.loads(done.stdout)["modules"]
    assert (found["handle"], found["error"]["type"]) == ("auto", "RestoreError")
