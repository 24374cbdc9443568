"""export/hub/portrait.py: whatever a module is, its portrait shows it, or there is none, and a reason."""

import functools
import importlib
import os
import shutil
import signal
import time

import numpy as np
import program
import pytest
import tensorflow as tf
from hostile_contents import CONTENTS
from hostile_files import FILES
from hostile_graphs import GRAPHS
from hostile_operations import CANARY, OPERATIONS
from stem import rewrite_variables, sign

from slimhub.export.hub import draw, pixels, portrait, scene
from slimhub.signatures import running
from slimhub.signatures.module import Module

pytestmark = pytest.mark.xdist_group("portrait")

COMMAND = "slimhub.export.hub.portrait"
LOAD = functools.partial(importlib.import_module, COMMAND)
SEPARABLE = "InceptionV2/Conv2d_1a_7x7"
KERNEL = "InceptionV1/Conv2d_1a_7x7/weights"
END_POINTS = ("Conv2d_1a_7x7", "MaxPool_2a_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3", "global_pool")


def misbehave(act):
    """Has the process that draws do something else; for `program.start`."""
    LOAD()
    draw.draw = lambda directory, note: act()


@pytest.fixture
def portray(tmp_path):
    """A function that draws by the command line, and gives how that ended, and where to."""

    def portray(module, name="portrait", before=LOAD):
        into = tmp_path / name
        into.mkdir(parents=True)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return program.run(str(module), str(into), command=COMMAND, cwd=work, before=before), into

    return portray


@pytest.fixture
def copy(stem, tmp_path):
    """A function that copies the stem, with other variables."""

    def copy(version, change):
        directory = tmp_path / "copy"
        shutil.copytree(stem / str(version), directory)
        rewrite_variables(directory, change)
        sign(directory)
        return directory

    return copy


def direct(directory, version):
    """The end points for the scene, as any user would get them."""
    image = scene.draw(32, 32)[np.newaxis]
    if version == 5:
        signature = tf.saved_model.load(str(directory)).signatures["image_feature_vector"]
        return {key: value.numpy() for key, value in signature(images=tf.constant(image)).items()}
    with running.load(directory, tags=()) as module:
        return module.run(image)["image_feature_vector"]


def decoded(path):
    return tf.io.decode_png(path.read_bytes(), channels=4).numpy()


def complaint(done, into):
    """The only line that is said of a module that can't be drawn."""
    [line] = done.stderr.splitlines()
    assert (done.code, done.stdout, os.listdir(into)) == (1, "", [])
    return line


@pytest.mark.parametrize("version", [1, 3, 5])
def test_stem(stem, portray, version):
    """The portrait shows what a direct run of the module gives for the scene, in the network's order."""
    directory = stem / str(version)
    done, into = portray(directory)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    found = portrait.from_json((into / portrait.RECORD).read_text())
    assert sorted(os.listdir(into)) == sorted([*found.pictures, portrait.RECORD])
    expected = direct(directory, version)
    shapes = {one.key: one.shape for one in found.end_points}
    assert list(shapes) == [f"InceptionV1/{name}" for name in END_POINTS]
    assert shapes == {key: a.shape for key, a in expected.items() if key != "default"}
    for one in found.end_points:
        values = expected[one.key][0]
        tall = values.shape[0] > 1
        drawn = pixels.feature_map(values) if tall else pixels.feature_vector(values[0, 0])
        found_pixels = decoded(into / one.picture)
        assert found_pixels.shape == ((96, 796, 4) if tall else (96, 96, 4))
        # A sum in another order may be on the other side of a boundary of two colours.
        assert np.mean(found_pixels != drawn) < 1e-3
    assert found.image_size == (32, 32)
    picture = decoded(into / found.picture)[..., :3] / 255
    np.testing.assert_allclose(picture, scene.draw(32, 32), atol=0.5 / 255 + 1e-6)
    assert found.filters.shape == (7, 7, 3, 64)
    assert found.filters.variable == KERNEL
    kernel = Module(directory).read_variable(KERNEL)
    np.testing.assert_array_equal(decoded(into / found.filters.picture), pixels.filters(kernel))


def test_same_bytes(stem, portray):
    """The same module gives the same bytes, and so do other versions of the same weights."""
    portraits = [portray(stem / version, name)[1] for version, name in ("3a", "3b", "1c")]
    first, second, other = (
        {path.name: path.read_bytes() for path in into.iterdir()} for into in portraits
    )
    assert first == second == other


def test_edges(copy, portray):
    """Edges in the first kernel are drawn as they are: upright, in their places, in their colours."""
    along = np.sign(np.arange(7) - 3)

    def change(variables):
        kernel = variables[KERNEL] = np.zeros([7, 7, 3, 64], np.float32)
        kernel[:, :, 0, 0] = -3 * along
        kernel[:, :, 2, 9] = 0.1 * along[:, np.newaxis]

    _, into = portray(copy(3, change))
    grid = decoded(into / "filters.png").astype(int)
    assert grid.shape == (63, 63, 4)
    vertical, horizontal = grid[:7, :7], grid[8:15, 8:15]
    red, blue = (255, 128, 128, 255), (128, 128, 255, 255)
    assert (vertical[:, :3] == red).all()
    assert (vertical[:, 4:] == (0, 128, 128, 255)).all()
    assert (horizontal[4:] == blue).all()
    assert (horizontal[:3] == (128, 128, 0, 255)).all()
    assert (grid[7] == 0).all()
    assert (grid[:, 7] == 0).all()


def test_not_finite(copy, portray):
    """A module whose weights are not finite is drawn, and shows it."""

    def change(variables):
        variables[KERNEL][2, 3, 0, 5] = np.nan
        # In some kernels, the ReLU of a NaN is 0.
        variables["InceptionV1/Conv2d_2c_3x3/BatchNorm/beta"][7] = np.inf

    done, into = portray(copy(3, change))
    assert (done.code, done.stderr) == (0, "")
    grid = decoded(into / "filters.png")
    assert [tuple(place) for place in np.argwhere((grid == pixels.NOT_FINITE).all(axis=-1))] == [
        (2, 5 * 8 + 3)
    ]
    found = portrait.from_json((into / portrait.RECORD).read_text())
    tiles = decoded(into / found.end_points[END_POINTS.index("Conv2d_2c_3x3")].picture)
    # The mean, and the channel, which comes before all others.
    for left in (0, 100):
        assert (tiles[:, left : left + 96] == pixels.NOT_FINITE).all()


@pytest.mark.slow
def test_separable(module, images):
    """Of a separable convolution, the filters are those of the one convolution that does the same."""
    directory = module("inception_v2", "classification", 3)
    read = Module(directory).read_variable
    variable, kernel = draw.first_kernel(Module(directory))
    assert (variable, kernel.shape) == (f"{SEPARABLE}/depthwise_weights", (7, 7, 3, 64))
    kernels = [read(f"{SEPARABLE}/{name}_weights") for name in ("depthwise", "pointwise")]
    strides = [1, 1, 1, 1]
    expected = tf.nn.separable_conv2d(images(1, 20), *kernels, strides, "VALID")
    found = tf.nn.conv2d(images(1, 20), kernel, strides, "VALID")
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_real_network(module):
    """A whole network is drawn in files that a page can hold."""
    files = draw.draw(module("inception_v2", "classification", 3))
    found = portrait.from_json(files[portrait.RECORD].decode())
    assert list(files) == [*found.pictures, portrait.RECORD]
    assert found.image_size == (224, 224)
    assert [one.key.rpartition("/")[2] for one in found.end_points][:4] == [
        "Conv2d_1a_7x7",
        "MaxPool_2a_3x3",
        "Conv2d_2b_1x1",
        "Conv2d_2c_3x3",
    ]
    assert found.end_points[0].shape == (1, 112, 112, 64)
    assert found.end_points[-1].shape == (1, 1, 1, 1024)
    assert max(map(len, files.values())) < 40_000
    assert sum(map(len, files.values())) < 400_000


def hostile(id, version=3):
    """The one of that name among all hostile directories."""
    tables = (*FILES, *CONTENTS, *OPERATIONS, *GRAPHS)
    return next(one for one in tables if (one.id, one.version) == (id, version))


HOSTILE = (
    (hostile("pipe_as_saved_model.pb"), "readable: saved_model.pb is neither a file nor"),
    (hostile("truncated_to_50_percent"), "readable: saved_model.pb is no SavedModel"),
    (hostile("entry_negative_shape"), "the process was ended by SIGABRT"),
    (hostile("WriteFile_when_loaded"), "operations: {} has 1 of the operation WriteFile"),
    (hostile("WriteFile_in_signature", 5), "operations: {serve} has 1 of the operation WriteFile"),
    (hostile("recursion", 5), "There is a cyclic dependency between functions."),
    (hostile("foreign_handle"), "Shape must be rank 4"),
)


@pytest.mark.parametrize(("hostile", "says"), HOSTILE, ids=lambda one: getattr(one, "id", ""))
def test_hostile(stem, portray, tmp_path, hostile, says):
    """A hostile directory is not run and not drawn, and it is told why, in a line."""
    directory = tmp_path / "hostile"
    shutil.copytree(stem / str(hostile.version), directory)
    hostile.change(directory, stem / str(hostile.version))
    line = complaint(*portray(directory))
    assert line.startswith(f"{directory} can't be drawn: ")
    assert says in line
    assert not list(tmp_path.rglob(CANARY))


def test_no_first_kernel(copy, portray):
    """Without a kernel that reads RGB there is no portrait, and it is told what was expected."""

    def change(variables):
        variables[KERNEL] = variables[KERNEL][:, :, :2]

    line = complaint(*portray(copy(3, change)))
    assert line.endswith(
        "expected one kernel of three input channels, float32 [?, ?, 3, ?], got none"
    )


def test_aborting_process(stem, portray):
    """If TensorFlow ends the process, that is the reason why there is no portrait."""
    line = complaint(*portray(stem / "3", before=functools.partial(misbehave, os.abort)))
    assert "the process was ended by SIGABRT: the files are malformed" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped(stem, tmp_path, number):
    """Stopped while it draws, it ends its process and leaves nothing."""
    into, work, begun = (tmp_path / name for name in ("into", "work", "begun"))
    into.mkdir()
    work.mkdir()
    before = functools.partial(misbehave, functools.partial(note_and_sleep, begun))
    run = program.start(str(stem / "3"), str(into), command=COMMAND, cwd=work, before=before)
    while not begun.exists() or not begun.read_text():
        time.sleep(0.02)
    run.signal(number)
    done = run.wait(timeout=30)
    assert (done.code, done.stderr) == (128 + number, f"Stopped by {number.name}.\n")
    assert os.listdir(into) == []
    assert not os.path.exists(f"/proc/{begun.read_text()}")


def note_and_sleep(begun):
    begun.write_text(str(os.getpid()))
    time.sleep(60)


def test_usage(stem, tmp_path):
    """Without two directories, the usage is told."""
    done = program.run(str(stem / "3"), command=COMMAND, cwd=tmp_path, before=LOAD)
    assert (done.code, done.stderr) == (2, f"Usage: python -m {COMMAND} DIRECTORY INTO\n")


def test_unwritable(stem, tmp_path):
    """Nothing is drawn into a directory that is missing, or that is not empty."""
    work = tmp_path / "work"
    work.mkdir()
    for into, says in (("absent", "No such file"), (str(stem), "it is not empty")):
        done = program.run(str(stem / "3"), into, command=COMMAND, cwd=work, before=LOAD)
        [line] = done.stderr.splitlines()
        assert done.code == 5
        assert line.startswith(f"{into} can't be written: ")
        assert says in line


def test_record():
    """A record that is damaged is refused, with what is wrong."""
    with pytest.raises(ValueError, match="missing: end_points, filters, image_size, picture"):
        portrait.from_json("{}")
    with pytest.raises(ValueError, match="Expecting value"):
        portrait.from_json("")
