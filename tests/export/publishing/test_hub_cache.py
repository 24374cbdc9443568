"""Modules in tensorflow_hub's cache: the library finds them by their URLs on TF Hub, which has closed."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_hub as hub
from stem import STEM, stem_in_catalog

from slimhub.export import pipeline
from slimhub.export.errors import OutputError, VersionExistsError
from slimhub.export.publishing import hub_cache
from slimhub.export.request import ExportRequest
from slimhub.signatures.module.provenance import files_in

REQUEST = ExportRequest(
    version=4,
    models=(STEM.name,),
    tasks=("feature_vector",),
    checkpoint="synthetic",
    hub_cache=True,
)
HANDLE = REQUEST.handle(STEM, "feature_vector")
URL = f"https://tfhub.dev/{HANDLE}"
FORMS = (URL, f"{URL}?tf-hub-format=compressed")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, which does not exist yet."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_found(stem, images):
    """Both forms of the URL lead to the same files, and both ways to load them give the same."""
    put = hub_cache.put(stem / "4", HANDLE)
    assert tuple(hub.resolve(url) for url in FORMS) == tuple(map(str, put))
    for directory in put:
        assert files_in(directory) == files_in(stem / "4")
    batch = images(2, 40)
    outputs = [hub.load(str(stem / "4"))(batch), *(hub.load(url)(batch) for url in FORMS)]
    outputs.append(hub.KerasLayer(URL)(batch))
    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])


def test_undone(stem, cache):
    """What is beside the modules are the library's own descriptors, and the two take their space once."""
    put = hub_cache.put(stem / "4", HANDLE)
    descriptors = [path.with_name(f"{path.name}.descriptor.txt") for path in put]
    assert sorted(cache.iterdir()) == sorted([*put, *descriptors])
    for url, descriptor in zip(FORMS, descriptors, strict=True):
        assert descriptor.read_text().splitlines()[0] == f"Module: {url}"
    first, second = (path / "saved_model.pb" for path in put)
    assert first.samefile(second)
    assert not first.samefile(stem / "4" / "saved_model.pb")


def test_export(tmp_path):
    """An export puts what it published there, and says where."""
    with stem_in_catalog():
        [outcome] = pipeline.export(dataclasses.replace(REQUEST, output=tmp_path / "modules"))
    assert outcome.error is None
    assert tuple(hub.resolve(url) for url in FORMS) == tuple(map(str, outcome.hub_cache))
    assert files_in(outcome.hub_cache[0]) == files_in(outcome.directory)


@pytest.mark.parametrize("form", [0, 1])
def test_original(stem, tmp_path, form):
    """What is there, which may be the original, is left as it is, and nothing is exported; it may be replaced."""
    original = hub_cache.put(stem / "3", HANDLE)[form]
    shutil.rmtree(hub_cache.put(stem / "3", HANDLE)[1 - form])
    request = dataclasses.replace(REQUEST, output=tmp_path / "modules")
    with stem_in_catalog():
        [outcome] = pipeline.export(request)
        assert isinstance(outcome.error, VersionExistsError)
        assert files_in(original) == files_in(stem / "3")
        assert not request.output.exists()
        [outcome] = pipeline.export(dataclasses.replace(request, overwrite=True))
    for directory in outcome.hub_cache:
        assert files_in(directory) == files_in(outcome.directory)


@pytest.mark.parametrize("obstacle", ["cache", "parent"])
def test_unwritable(stem, cache, obstacle):
    """A cache that can't be written is an error of the output."""
    path = cache if obstacle == "cache" else cache.parent / "sub"
    path.write_text("a file")
    os.environ["TFHUB_CACHE_DIR"] = str(path if obstacle == "cache" else path / "cache")
    for attempt in (hub_cache.check_free, lambda handle: hub_cache.put(stem / "4", handle)):
        with pytest.raises(OutputError):
            attempt(HANDLE)


@pytest.mark.parametrize("given", [True, False], ids=["directory", "environment"])
def test_flag(tmp_path, cache, given):
    """The flag takes a directory, or leaves the choice to the library."""
    flag = f"--hub-cache={tmp_path / 'mine'}" if given else "--hub-cache"
    code = (
        "import runpy, sys; from stem import stem_in_catalog, STEM\n"
        "from slimhub.models import catalog\n"
        "catalog.MODELS = (STEM,)\n"
        f"sys.argv = ['x', '--handle={URL}', '--checkpoint=synthetic', '--output=out', {flag!r}]\n"
        "runpy.run_module('slimhub.export', run_name='__main__')"
    )
    helpers = [path for path in sys.path if "/tests" in path]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(helpers)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = tmp_path / "mine" if given else cache
    os.environ["TFHUB_CACHE_DIR"] = str(found)
    assert files_in(found / hub.resolve(URL)) == files_in(tmp_path / "out" / HANDLE)
