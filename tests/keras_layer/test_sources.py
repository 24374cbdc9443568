"""Where a `ModuleLayer` takes its module from."""

import functools
import http.server
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

import hub
from slimhub.export.publishing import publish
from slimhub.keras import ModuleLayer
from slimhub.signatures.module.directory import UnreadableError


@pytest.fixture
def expected(path, images):
    return ModuleLayer(path)(images(2, 32)).numpy()


@pytest.fixture
def served(stem, tmp_path, monkeypatch):
    """A directory with a version and its archive."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    root = shutil.copytree(stem, tmp_path / "root" / hub.STEM)
    publish.write_archive(root / "5")
    return tmp_path / "root"


def test_archive(served, images, expected):
    """An archive is unpacked, and nothing is left of it."""
    layer = ModuleLayer(served / f"{hub.STEM}/5.tar.gz")
    np.testing.assert_array_equal(layer(images(2, 32)), expected)


@pytest.mark.parametrize("end", ["", "?tf-hub-format=compressed", ".tar.gz"])
def test_hub(served, images, expected, tmp_path, end):
    """A URL of a hub leads to the module, with or without the format, and so does that of its archive."""
    with hub.serving(served, tmp_path / "home") as server:
        layer = ModuleLayer(f"{server.url}/{hub.STEM}/5{end}")
    np.testing.assert_array_equal(layer(images(2, 32)), expected)


def test_server_of_files(served, images, expected):
    """Any other server does, too."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            layer = ModuleLayer(f"http://127.0.0.1:{server.server_port}/{hub.STEM}/5.tar.gz")
        finally:
            server.shutdown()
            thread.join()
    np.testing.assert_array_equal(layer(images(2, 32)), expected)


@pytest.mark.parametrize("version", [1, 3])
def test_other_versions(stem, version):
    """A module of version 1 or 3 is refused; what to do is said, and that works."""
    with pytest.raises(UnreadableError, match="--version=5"):
        ModuleLayer(stem / str(version))


def test_another_backend():
    """With another backend of Keras than TensorFlow, the import says which one it needs."""
    # Others are not installed.
    code = "import keras; keras.backend.backend = lambda: 'jax'; import slimhub.keras"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: slimhub.keras needs")


def test_nothing(tmp_path):
    """What is no module is refused, by its name: nothing, an empty directory, a file, and a server that is not there."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.tar.gz").write_text("no archive")
    absent = "http://127.0.0.1:1/module/5"
    for path in (tmp_path / "absent", tmp_path / "empty", tmp_path / "file.tar.gz", absent):
        with pytest.raises(UnreadableError, match=str(path)):
            ModuleLayer(path)


def test_changed(stem, tmp_path):
    """A module whose files are not those that were published is refused."""
    directory = shutil.copytree(stem / "5", tmp_path / "5")
    with (directory / "variables/variables.data-00000-of-00001").open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    with pytest.raises(UnreadableError, match=r"variables\.data"):
        ModuleLayer(directory)
