"""Archives where they are for: `tensorflow_hub` fetches them from any HTTP server."""

import functools
import http.server
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from publishing import read

from slimhub.export.publishing import publish


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the library, and no proxy to ask."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def served(stem, tmp_path) -> Path:
    """A directory that is served, with all versions and their archives."""
    root = tmp_path / "served"
    shutil.copytree(stem, root / "stem/feature_vector")
    for version in sorted((root / "stem/feature_vector").iterdir()):
        publish.write_archive(version)
    return root


@pytest.fixture
def server(served):
    """An HTTP server of files that knows nothing of modules."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server, version: int) -> str:
    return f"http://127.0.0.1:{server.server_port}/stem/feature_vector/{version}.tar.gz"


@pytest.mark.parametrize("version", [1, 3, 4, 5])
def test_resolve(stem, server, cache, version):
    """`hub.resolve` gives the module out of an archive, byte by byte."""
    path = Path(hub.resolve(url(server, version)))
    assert path.is_relative_to(cache)
    assert read(path) == read(stem / str(version))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("version", [3, 5])
def test_load(stem, server, version):
    """`hub.load` and `hub.KerasLayer` of a URL give what those of the directory give."""
    images = tf.constant(np.random.RandomState(0).uniform(size=(2, 32, 32, 3)), tf.float32)
    expected = hub.KerasLayer(str(stem / str(version)))(images)
    handle = url(server, version)
    np.testing.assert_array_equal(hub.KerasLayer(handle)(images), expected)
    signature = "default" if version == 3 else "serving_default"
    outputs = hub.load(handle).signatures[signature](images)
    np.testing.assert_allclose(*outputs.values(), expected, rtol=1e-6)
