"""slimhub.export.synthetic: untrained checkpoints in the published ones' format and layout."""

import functools
import itertools
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from stem import INCEPTIONS

from slimhub.export import synthetic
from slimhub.models import catalog, network
from slimhub.signatures.provenance import sha256

NUM_VARIABLES = {"inception_v1": 230, "inception_v2": 277}


@functools.cache
def variables(model: catalog.Model) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the variables of a network."""
    with tf.Graph().as_default():
        built = build(model, tf.zeros([1, *model.image_size, 3]))
        return {variable.op.name: tuple(variable.shape) for variable in built.variables}


def build(model: catalog.Model, images) -> network.Network:
    return network.build(
        model, images, training=False, batch_norm_momentum=0.9, num_classes=model.num_classes
    )


@pytest.fixture(params=INCEPTIONS)
def model(request) -> catalog.Model:
    return catalog.get(request.param)


def test_archive(archives, model):
    """The archive holds one file at its root, of the published name, a little larger than the weights."""
    with tarfile.open(archives / model.archive.name, "r:gz") as tar:
        [member] = tar.getmembers()
    assert member.name == model.archive.member
    assert member.isreg()
    num_bytes = sum(4 * int(np.prod(shape)) for shape in variables(model).values())
    assert num_bytes < member.size < num_bytes + (1 << 18)


def test_size(archives, model):
    """The archive is as large as the published one, to a few percent."""
    size = (archives / model.archive.name).stat().st_size
    assert size == pytest.approx(model.archive.num_bytes, rel=0.1)


def test_format(checkpoint, model):
    """The checkpoint is one file of the V1 format, an sstable, with no index beside it."""
    path = checkpoint(model.name)
    # The number that ends every sstable.
    assert path.read_bytes()[-8:] == bytes.fromhex("57fb808b247547db")
    assert not path.with_name(f"{path.name}.index").exists()


def test_variables(checkpoint, model):
    """Names, shapes and types are those of the network with the published number of classes."""
    reader = tf.train.load_checkpoint(str(checkpoint(model.name)))
    shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    assert shapes == variables(model)
    assert len(shapes) == NUM_VARIABLES[model.name]
    assert set(reader.get_variable_to_dtype_map().values()) == {tf.float32}


def _here(model: catalog.Model, into: Path) -> None:
    synthetic.write_archive(model, into=into)


def _elsewhere(model: catalog.Model, into: Path) -> None:
    code = (
        "import pathlib; from slimhub.export import synthetic; from slimhub.models import catalog;"
        f"synthetic.write_archive(catalog.get({model.name!r}), into=pathlib.Path('.'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "20160828"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=into, env=environment)


@pytest.mark.parametrize("write", [_here, _elsewhere])
def test_same_bytes(archives, tmp_path, write):
    """The same network gives the same bytes again, and in another process with other hashes."""
    model = catalog.get("inception_v1")
    write(model, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / model.archive.name]
    again, before = (path / model.archive.name for path in (tmp_path, archives))
    assert sha256(again) == sha256(before)


def test_no_such_directory(tmp_path):
    """A checkpoint that can't be written is an `OSError`, as for any file."""
    with pytest.raises(OSError, match="No such file or directory"):
        synthetic.write_checkpoint({"a": np.ones(3, np.float32)}, tmp_path / "absent" / "a.ckpt")


def test_activations(checkpoint, images, model):
    """Activations keep their size from layer to layer, and different images get different logits."""
    with tf.Graph().as_default() as graph:
        built = build(model, tf.constant(images(4)))
        with tf.compat.v1.Session(graph=graph) as session:
            saver = tf.compat.v1.train.Saver(built.variables)
            saver.restore(session, str(checkpoint(model.name)))
            end_points, logits = session.run([built.end_points, built.logits])
    for name, values in end_points.items():
        assert np.isfinite(values).all(), name
        assert 0.3 < values.std() < 3, name
    for one, other in itertools.combinations(logits, 2):
        assert np.abs(one - other).max() > 0.2 * np.abs(logits).max()
