"""Programs that name modules by their URLs on TF Hub, where the library finds them in its cache."""

import functools

import pictures
import pytest

from slimhub.export.publishing import hub_cache
from slimhub.signatures.contract import handles


@pytest.fixture(scope="session")
def put(module, tmp_path_factory):
    """Return a function that puts the module of a URL into the library's cache, and returns where."""
    with pytest.MonkeyPatch.context() as patch:
        # One of this worker, as others replace what they put.
        patch.setenv("TFHUB_CACHE_DIR", str(tmp_path_factory.mktemp("hub_cache")))

        @functools.cache
        def put_module(url: str):
            one = handles.parse(url)
            found = module(one.model, one.task, one.version, prefix=one.prefix)
            return hub_cache.put(found, str(one))

        yield put_module


@pytest.fixture
def use(run, row, put):
    """Return a function that runs a program of `programs/handles` with modules, by their URLs."""

    def run_program(program: str, *urls: str, images, **job):
        for url in urls:
            put(url)
        result = run(f"handles/{program}", urls=urls, images=images, **job)
        row.version = result.facts["version"]
        row.modules += [handles.parse(url).version for url in urls]
        return result

    return run_program


@pytest.fixture(scope="session")
def reference(slim):
    """Return a function that returns the Slim graph of the module of a URL."""

    def get(url: str, **mode):
        one = handles.parse(url)
        return slim(one.model, one.task, **mode)

    return get


@pytest.fixture(scope="session")
def outputs(reference):
    """Return a function that returns what a module gives for images, by Slim, with other weights if there are any."""

    def get(url: str, images, weights=None):
        graph = reference(url)
        with graph.holding(weights or {}):
            # Its signatures are those of every version.
            found = graph.outputs(3, {"images": images})
        return found[f"images image_{handles.parse(url).task}:default"]

    return get


@pytest.fixture(scope="session")
def drawn():
    """Return a function that returns six pictures of a size, and their labels."""

    @functools.cache
    def get(size: int):
        images, labels = pictures.draw(6, size=size, seed=0)
        return {"images": images, "labels": labels}

    return get
