"""The network of a checkpoint, and guesses where it is of none."""

import json
import tarfile
from pathlib import Path

import numpy as np
import program
import pytest
import tensorflow as tf
from checkpoints import write_v2

from slimhub.export.checkpoints import recognition, resolve, restore, synthetic
from slimhub.export.errors import RestoreError
from slimhub.models import catalog

ONE = np.ones(1, np.float32)
KERNEL = "InceptionV2/Conv2d_1a_7x7/weights"


def write(path: Path, *names: str) -> Path:
    """Write a checkpoint of small variables."""
    write_v2(dict.fromkeys(names, ONE), path)
    return path


def refusal(path: Path) -> RestoreError:
    with pytest.raises(RestoreError) as caught:
        recognition.model_of(path)
    assert caught.value.exit_code == 3
    assert caught.value.checkpoint == path.name
    return caught.value


def likely(path: Path, model="inception_v1") -> str:
    """Return the cause that a restore of other variables gives."""
    wanted = f"{catalog.get(model).scope}/Conv2d_1a_7x7/BatchNorm/beta"
    with pytest.raises(RestoreError) as caught:
        restore.restore(restore.Reader(path), model=catalog.get(model), shapes={wanted: (1,)})
    [cause] = caught.value.causes
    return cause


@pytest.mark.parametrize("model", catalog.MODELS, ids=lambda model: model.name)
def test_scope(tmp_path, model):
    """The outermost scope identifies the network, whatever else a training left."""
    names = (f"{model.scope}/Conv/weights", f"{model.scope}/Conv/weights/Momentum", "global_step")
    assert recognition.model_of(write(tmp_path / "model.ckpt", *names)) is model


def test_several(tmp_path):
    """If it could be of several networks, the error names all of them."""
    path = write(tmp_path / "model.ckpt", KERNEL, KERNEL.replace("V2", "V1"))
    assert str(refusal(path)) == (
        "model.ckpt could be of 2 networks, by its scopes: choose --model=inception_v1 or "
        "--model=inception_v2."
    )


def test_none(tmp_path):
    """If it is of no known network, the error says which scopes it has, and which are known."""
    path = write(tmp_path / "model.ckpt", "MyNet/a", "global_step")
    known = ", ".join(f"{model.scope} ({model.name})" for model in catalog.MODELS)
    assert refusal(path).causes == (
        "It is of another network: its scopes are MyNet, global_step.",
        f"Known are {known}.",
    )


@pytest.mark.parametrize("model", ["inception_v1", "inception_v2"])
def test_prefix(tmp_path, model):
    """A network that is part of another is recognized by the scope around it."""
    first, second = "FirstStageFeatureExtractor", "SecondStageFeatureExtractor"
    names = (f"{first}/{KERNEL}", f"{second}/{KERNEL}", "Conv/weights")
    path = write(tmp_path / "model.ckpt", *names)
    said = (
        f"Its variables of InceptionV2 are below {first}, {second}, as in a network that is part of "
        "another, an object detector perhaps: save them without that, with a "
        "tf.compat.v1.train.Saver of a dictionary of their names."
    )
    assert likely(path, model) == refusal(path).causes[0] == said


@pytest.mark.parametrize("names", [("a", "b"), ("a", "a"), (None, None)])
def test_objects(tmp_path, names):
    """A checkpoint of objects without Slim's names is recognized as one."""
    first, second = (tf.Variable(ONE, name=name) for name in names)
    path = tmp_path / "model.ckpt"
    tf.train.Checkpoint(**{"layer_with_weights-0": first, "optimizer": second}).write(str(path))
    said = (
        "It is a checkpoint of objects, as Keras and tf.train.Checkpoint write them in TensorFlow 2: "
        "its names are paths of attributes. Expected one of a tf.compat.v1.train.Saver, with the "
        "names of Slim's variables."
    )
    assert likely(path) == refusal(path).causes[0] == said


def archived(path: Path) -> Path:
    """Return an archive with the file under the name of another network's member."""
    archive = path.with_name("mine.tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(path, catalog.get("inception_v1").archive.member)
    return archive


def trained(path: Path) -> Path:
    (path.parent / "checkpoint").write_text(f'model_checkpoint_path: "/train/{path.name}"\n')
    return path.parent


@pytest.mark.parametrize("source", [archived, trained])
def test_sources(tmp_path, source):
    """The network is found in an archive with any member, and in a training."""
    for name in ("source", "workdir"):
        (tmp_path / name).mkdir()
    path = tmp_path / "source" / "flowers.ckpt-7"
    synthetic.write_checkpoint({KERNEL: ONE}, path)
    found = resolve.resolve(str(source(path)), model=None, workdir=tmp_path / "workdir")
    assert recognition.model_of(found.path) is catalog.get("inception_v2")


def test_auto_by_command_line(tmp_path):
    """Without a network, there is one error in place of a handle, which lists the possible ones."""
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
