"""What large networks need, tried with small ones: they count as large where limits are a few bytes."""

import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf
from stem import STEM, VGG_STEM, export_stem, rewrite_variables, stem_in_catalog

from slimhub.export import exporter, half, kept, restore, sources, synthetic, worker
from slimhub.export.errors import CheckError
from slimhub.export.request import ExportRequest
from slimhub.signatures import conformance, module, running
from slimhub.signatures.module import Module
from slimhub.signatures.provenance import files_in

# The modules that this compares with are exported there anyhow.
pytestmark = pytest.mark.xdist_group("families")

# Of the stem: one of four dimensions, and one of a single dimension.
KERNEL = "InceptionV1/Conv2d_2c_3x3/weights"
BETA = "InceptionV1/Conv2d_2c_3x3/BatchNorm/beta"
NAMES = {"a": "of/a", "b": "of/b"}


@pytest.fixture
def limits(monkeypatch):
    """Limits that every network is beyond."""
    monkeypatch.setattr(restore, "_KEPT", 4)
    monkeypatch.setattr(sources, "_LARGE", 4)
    monkeypatch.setattr(kept, "_LARGE", 4)
    monkeypatch.setattr(module, "_PORTION", 4)
    monkeypatch.setattr(running, "_LARGE", 4)
    monkeypatch.setattr(running, "_PIECE", 1 << 14)


@pytest.mark.parametrize(
    ("model", "version"),
    [
        (STEM.name, 5),
        pytest.param(VGG_STEM.name, 3, marks=pytest.mark.slow),
        pytest.param(STEM.name, 3, marks=pytest.mark.slow),
        pytest.param(VGG_STEM.name, 5, marks=pytest.mark.slow),
    ],
)
def test_same_bytes(stem, family, limits, monkeypatch, tmp_path, model, version):
    """As a large one, a network gives the same bytes, which pass every check of a large module."""
    found = export_stem(tmp_path, model=model, versions=(version,)) / str(version)
    assert conformance.check(found).failed == ()
    # Exported as a small one, here or in another test.
    monkeypatch.undo()
    small = stem / str(version) if model == STEM.name else family(model, "feature_vector", version)
    assert files_in(found) == files_in(small)


@pytest.mark.parametrize("large", [False, True])
def test_without_the_other_process(tmp_path, monkeypatch, large):
    """A large checkpoint asks nothing of the other process, which a small one can't do without."""
    other = worker.Worker(half.Half(training=True))
    other.close()
    monkeypatch.setattr(sources, "_LARGE", 4 if large else 1 << 40)
    request = ExportRequest(
        version=3,
        models=(STEM.name,),
        tasks=("feature_vector",),
        checkpoint="synthetic",
        output=tmp_path / "modules",
    )
    with stem_in_catalog():
        [outcome] = exporter.export(request, other=other)
    assert isinstance(outcome.error, CheckError) != large
    assert (outcome.directory is not None) == large


@pytest.fixture
def copy(stem, tmp_path):
    """A copy of the small module, whose variables may be changed."""
    return Module(shutil.copytree(stem / "3", tmp_path / "3"))


def unlike(disk: Module, directory) -> list[str]:
    """Variables on disk that are not those of a module, loaded from a directory."""
    with running.load(directory, tags=()) as graph:
        variables = {variable.op.name: variable for variable in graph.collection("variables")}
        return [
            name
            for portion in disk.portions(variables)
            for name in graph.unlike(portion, variables)
        ]


@pytest.mark.parametrize(
    ("name", "place", "number"),
    [(KERNEL, 0, 2016), (KERNEL, -1, 2016), (KERNEL, 20000, np.nan), (BETA, -1, 2016)],
)
def test_unlike(stem, copy, limits, name, place, number):
    """Piece by piece, a variable is told that differs in one number, wherever that is; and no other."""
    rewrite_variables(copy.directory, lambda arrays: arrays[name].put(place, number))
    assert unlike(copy, stem / "3") == [name]
    # NaN in the same place, too.
    assert unlike(copy, copy.directory) == []


@pytest.mark.parametrize("shape", [(2, 3), (4, 3), (3, 2), (3, 3, 1), (9,), (1, 3), (3,), ()])
def test_unlike_in_shape(limits, shape):
    """Piece by piece, a tensor of another shape is unlike, even if it begins with the same numbers."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tensors = {"same": tf.zeros([3, 3]), "other": tf.zeros(shape)}
        graph = running.RunningGraph(session, None)
        assert list(graph.unlike(dict.fromkeys(tensors, np.zeros([3, 3])), tensors)) == ["other"]


@pytest.mark.parametrize("piece", [1, 4, 6, 100])
def test_same(monkeypatch, piece):
    """Piece by piece, arrays are equal if all of their numbers are, NaN to NaN, and their shapes."""
    monkeypatch.setattr(running, "_PIECE", piece)
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    array[1, 1] = np.nan
    assert running.same(array, array.copy())
    for place in range(array.size):
        other = array.copy()
        other.put(place, -1)
        assert not running.same(array, other)
        assert not running.same(other, array)
    for shape in ((4, 3), (12,), (1, 3, 4)):
        assert not running.same(array, array.reshape(shape))
    assert not running.same(array, array[:2])
    assert running.same(array[:0], array[:0])
    assert running.same(np.float32(1), np.float32(1))


@pytest.mark.parametrize("limit", [1, 1000, 100_000, 1 << 30])
@pytest.mark.parametrize("version", ["3", "5"])
def test_portions(stem, monkeypatch, version, limit):
    """Portions have every variable once, in order, and as much as may be read at a time, or one alone."""
    monkeypatch.setattr(module, "_PORTION", limit)
    disk = Module(stem / version)
    portions = list(disk.portions(disk.variables))
    assert [name for portion in portions for name in portion] == sorted(disk.variables)
    sizes = [[array.nbytes for array in portion.values()] for portion in portions]
    assert all(sum(size) <= limit or len(size) == 1 for size in sizes)
    # None could have had what the next one begins with.
    pairs = itertools.pairwise(sizes)
    assert all(sum(size) + following[0] > limit for size, following in pairs)
    for portion in portions:
        for name, array in portion.items():
            np.testing.assert_array_equal(array, disk.read_variable(name))
    assert list(disk.portions([])) == []


class Counting(restore.Reader):
    """A checkpoint that tells what was read of it."""

    def __init__(self, path):
        super().__init__(path)
        self.read = []

    def get(self, name):
        self.read.append(name)
        return super().get(name)


@pytest.fixture
def reader(tmp_path):
    """A checkpoint of two variables, of 24 bytes together."""
    arrays = {name: np.full(3, index, np.float32) for index, name in enumerate(NAMES.values())}
    synthetic.write_checkpoint(arrays, tmp_path / "model.ckpt")
    return Counting(tmp_path / "model.ckpt")


def test_small_weights(reader, monkeypatch):
    """Weights up to the limit are read when they are first asked for, once, by whoever has some of them."""
    monkeypatch.setattr(restore, "_KEPT", 24)
    weights = restore.Weights(reader, NAMES)
    assert (list(weights), len(weights), reader.read) == (["a", "b"], 2, [])
    for some in (weights.only(["b"]), weights, weights.only(["b"])):
        np.testing.assert_array_equal(some["b"], np.ones(3))
    assert reader.read == ["of/b"]


def test_large_weights(reader, monkeypatch):
    """Weights beyond it are read anew whenever they are asked for."""
    monkeypatch.setattr(restore, "_KEPT", 23)
    weights = restore.Weights(reader, NAMES)
    assert (list(weights), len(weights), reader.read) == (["a", "b"], 2, [])
    for _ in range(2):
        assert {name: array[0] for name, array in weights.items()} == {"a": 0, "b": 1}
    assert reader.read == [*NAMES.values()] * 2


@pytest.mark.parametrize("limit", [4, 24])
def test_some_weights(reader, monkeypatch, limit):
    """Some of the weights have the names that were asked for, in their order, and no others."""
    monkeypatch.setattr(restore, "_KEPT", limit)
    some = restore.Weights(reader, NAMES).only(["b"])
    assert (list(some), len(some), "a" in some) == (["b"], 1, False)
    np.testing.assert_array_equal(some["b"], np.ones(3))
    with pytest.raises(KeyError):
        some["a"]
    both = restore.Weights(reader, NAMES).only(["b", "a"])
    assert list(both) == ["b", "a"]
