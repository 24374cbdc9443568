"""The command that renders a preview: it shows what the module computes, or says why it can't."""

import functools
import importlib
import json
import os
import shutil

import numpy as np
import program
import pytest
import tensorflow as tf
from hostile_contents import CONTENTS
from hostile_files import FILES
from hostile_graphs import GRAPHS
from hostile_operations import CANARY, OPERATIONS
from stem import rewrite_variables, sign

from slimhub.hub.previews import pictures, render, sample_image
from slimhub.signatures.module import execution
from slimhub.signatures.module.module import Module

pytestmark = pytest.mark.xdist_group("preview")

COMMAND = "slimhub.hub.previews.__main__"
LOAD = functools.partial(importlib.import_module, COMMAND)
SEPARABLE = "InceptionV2/Conv2d_1a_7x7"
KERNEL = "InceptionV1/Conv2d_1a_7x7/weights"
END_POINTS = ("Conv2d_1a_7x7", "MaxPool_2a_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3", "global_pool")


@pytest.fixture
def run(tmp_path):
    """A function that runs the command, and returns how it ended, and the directory of the preview."""

    def run(module, name="preview"):
        into, work = tmp_path / name, tmp_path / "work"
        for directory in (into, work):
            directory.mkdir(exist_ok=True)
        return program.run(str(module), str(into), command=COMMAND, cwd=work, before=LOAD), into

    return run


@pytest.fixture
def copy(stem, tmp_path):
    """A function that copies the stem, with other variables."""

    def copy(change):
        directory = shutil.copytree(stem / "3", tmp_path / "copy")
        rewrite_variables(directory, change)
        sign(directory)
        return directory

    return copy


def end_points(directory, version):
    """Return the end points for the sample image, as any user would get them."""
    image = np.asarray(sample_image.draw(32, 32), np.float32)[np.newaxis] / 255
    if version >= 4:
        outputs = tf.saved_model.load(str(directory))(image, return_endpoints=True)
        return {key: value.numpy() for key, value in outputs.items()}
    inference, _ = Module(directory).promise().modes
    with execution.load(directory, tags=(), signatures=inference.signatures) as module:
        return module.run(image)["image_feature_vector"]


def decoded(path):
    return tf.io.decode_png(path.read_bytes(), channels=4).numpy()


def record_in(into):
    """Return the record of a preview; beside it there are its pictures, and nothing else."""
    record = json.loads((into / "preview.json").read_text())
    names = {point["picture"] for point in record["end_points"]} - {None}
    assert set(os.listdir(into)) == {"preview.json", "sample_image.png", "filters.png", *names}
    return record


def complaint(done, into):
    """Return the only line that is printed for a module that can't be rendered."""
    [line] = done.stderr.splitlines()
    assert (done.code, done.stdout, os.listdir(into)) == (1, "", [])
    return line


@pytest.mark.parametrize("version", [1, 3, 4, 5])
def test_stem(stem, run, version):
    """The pictures show the sample image, the filters, and what a direct run gives, in order."""
    directory = stem / str(version)
    done, into = run(directory)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    record = record_in(into)
    assert (record["image_size"], record["filters_shape"]) == ([32, 32], [7, 7, 3, 64])
    shown = decoded(into / "sample_image.png")[..., :3]
    np.testing.assert_array_equal(shown, sample_image.draw(32, 32))
    filters = pictures.filters(Module(directory).read_variable(KERNEL))
    np.testing.assert_array_equal(decoded(into / "filters.png"), filters)
    expected = end_points(directory, version)
    keys = [point["key"] for point in record["end_points"]]
    assert keys == [f"InceptionV1/{name}" for name in END_POINTS]
    for point in record["end_points"]:
        assert tuple(point["shape"]) == expected[point["key"]].shape
        pixels = decoded(into / point["picture"])
        # A sum in another order may be on the other side of a boundary of two levels.
        difference = pixels - np.asarray(pictures.activation(expected[point["key"]][0]), int)
        assert np.mean(difference != 0) < 1e-2
        assert abs(difference).max() <= 1


def test_same_bytes(stem, run):
    """The same module gives the same bytes, and so do other versions of the same weights."""
    previews = [run(stem / version, name)[1] for version, name in ("3a", "3b", "1c")]
    first, second, other = (
        {path.name: path.read_bytes() for path in into.iterdir()} for into in previews
    )
    assert first == second == other


def test_not_finite(copy, run):
    """A module whose weights are not finite is run, and its pictures show it."""

    def change(variables):
        variables[KERNEL][2, 3, 0, 5] = np.nan
        # In some kernels, the ReLU of a NaN is 0.
        variables["InceptionV1/Conv2d_2c_3x3/BatchNorm/beta"][7] = np.inf

    done, into = run(copy(change))
    assert (done.code, done.stderr) == (0, "")
    magenta = (decoded(into / "filters.png")[..., :3] == pictures.NOT_FINITE).all(axis=-1)
    assert np.argwhere(magenta).tolist() == [[2, 5 * 8 + 3]]
    tiles = decoded(into / record_in(into)["end_points"][3]["picture"])
    # The mean, and the channel, which comes before all others.
    for left in (0, 100):
        assert (tiles[:, left : left + 96, :3] == pictures.NOT_FINITE).all()


def test_many_end_points(stem, monkeypatch):
    """If there are many end points, the outermost have pictures, in the network's order."""
    monkeypatch.setattr(render, "MOST_PICTURES", 2)
    files = render.render(stem / "3")
    shown = [point["picture"] for point in json.loads(files["preview.json"])["end_points"]]
    assert shown == ["00.png", "01.png", None, None, None]
    assert {"00.png", "01.png"} == set(files) - {"preview.json", "sample_image.png", "filters.png"}


def test_separable(module, images):
    """The filters of a separable convolution do the same in one step, and a whole page of them is small."""
    directory = module("inception_v2", "classification", 3)
    kernel = render.first_kernel(Module(directory))
    assert kernel.shape == (7, 7, 3, 64)
    read = Module(directory).read_variable
    kernels = [read(f"{SEPARABLE}/{name}_weights") for name in ("depthwise", "pointwise")]
    expected = tf.nn.separable_conv2d(images(1, 20), *kernels, [1, 1, 1, 1], "VALID")
    found = tf.nn.conv2d(images(1, 20), kernel, [1, 1, 1, 1], "VALID")
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    files = render.render(directory)
    assert max(map(len, files.values())) < 60_000
    assert sum(map(len, files.values())) < 400_000


HOSTILE = {
    ("pipe_as_saved_model.pb", 3): "readable: ",
    ("entry_negative_shape", 3): "SIGABRT",
    ("WriteFile_in_signature", 5): "operations: ",
    ("foreign_handle", 3): "Shape must be rank 4",
}
TABLES = {(one.id, one.version): one for one in (*FILES, *CONTENTS, *OPERATIONS, *GRAPHS)}


@pytest.mark.parametrize("id", HOSTILE, ids=lambda id: id[0])
def test_hostile(stem, run, tmp_path, id):
    """A hostile directory is not run, and a line says why."""
    _, version = id
    directory = shutil.copytree(stem / str(version), tmp_path / "hostile")
    TABLES[id].change(directory, stem / str(version))
    line = complaint(*run(directory))
    assert line.startswith(f"{directory} can't be run: ")
    assert HOSTILE[id] in line
    assert not list(tmp_path.rglob(CANARY))


def test_no_first_kernel(copy, run):
    """Without a kernel that reads RGB there is no preview."""

    def change(variables):
        variables[KERNEL] = variables[KERNEL][:, :, :2]

    assert "one kernel of three input channels" in complaint(*run(copy(change)))


@pytest.mark.parametrize(
    ("arguments", "code"), [(["."], 2), ([".", "absent"], 5), ([".", ".."], 5)]
)
def test_usage(tmp_path, arguments, code):
    """The command needs two arguments, the second of which is an empty directory."""
    work = tmp_path / "work"
    work.mkdir()
    done = program.run(*arguments, command=COMMAND, cwd=work, before=LOAD)
    assert (done.code, len(done.stderr.splitlines())) == (code, 1)
