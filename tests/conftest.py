"""Fixtures of real checkpoints and modules. All runs and workers share them while the sources stay the same."""

import dataclasses
import functools
import gc
import logging
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The workers share the cores: threads of their own would only wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Graphs are many small objects that live long: looking through them often is a tenth of the time.
gc.set_threshold(200_000, 50, 100)
logging.getLogger("tensorflow").setLevel(logging.ERROR)

import made_once
import quietly  # noqa: F401
from made_once import make_once
from publishing import write
from stem import INCEPTIONS, STEM, export_stem

from slimhub.export import pipeline
from slimhub.export.checkpoints import synthetic, unpack
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures.contract import contract

SLOW = pytest.mark.slow
# Whole networks, each model and each version; the others with `make test-slow`.
MODULES = (
    pytest.param(("inception_v1", "classification", 3)),
    pytest.param(("inception_v2", "classification", 3)),
    pytest.param(("inception_v1", "feature_vector", 1)),
    pytest.param(("inception_v1", "feature_vector", 3), marks=SLOW),
    pytest.param(("inception_v2", "feature_vector", 3), marks=SLOW),
    pytest.param(("inception_v2", "classification", 1), marks=SLOW),
)
MODULES_5 = (
    pytest.param(("inception_v1", "feature_vector", 5)),
    pytest.param(("inception_v2", "classification", 5), marks=SLOW),
)


def pytest_collection_modifyitems(items):
    # What concerns both tasks of a model goes to one worker, which exports and loads them once.
    for item in items:
        callspec = getattr(item, "callspec", None)
        for fixture in ("exported", "exported_5"):
            if callspec is not None and fixture in callspec.params:
                model, _, version = callspec.params[fixture]
                item.add_marker(pytest.mark.xdist_group(f"{model}-{version}"))
    items.sort(key=_when)


def _when(item) -> int:
    """Return the rank of a test: long ones first, so that short ones fill up the workers at the end."""
    group = item.get_closest_marker("xdist_group")
    if group is None:
        return 2
    return 0 if item.get_closest_marker("slow") and group.args[0].startswith("kills") else 1


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return a directory that all runs and workers share while the sources stay the same."""
    return made_once.directory()


@pytest.fixture(scope="session")
def archives(shared) -> Path:
    """Return a directory with synthetic archives of two models, laid out like the published ones."""
    directory = shared / "archives"
    for model in map(catalog.get, INCEPTIONS):
        make_once(
            directory / model.archive.name,
            lambda work, model=model: synthetic.write_archive(model, into=work),
        )
    return directory


@pytest.fixture(scope="session")
def checkpoint(shared, archives):
    """Return a function that returns the V1 checkpoint file of a model, from its archive if there is one."""

    def get(name: str) -> Path:
        published = catalog.get(name).archive

        def make(work: Path) -> Path:
            if name in INCEPTIONS:
                members = {published.member: published.max_member_bytes}
                unpack.extract(archives / published.name, members=members, into=work)
            else:
                weights = synthetic.weights(catalog.get(name))
                synthetic.write_checkpoint(weights, work / published.member)
            return work / published.member

        return make_once(shared / "checkpoints" / published.member, make)

    return get


@pytest.fixture(scope="session")
def module(shared, archives, checkpoint):
    """Return a function that returns the directory of an exported module. Don't write into it."""

    def get(model: str, task: str, version: int, *, prefix: str | None = None) -> Path:
        request = ExportRequest(
            version=version,
            models=(model,),
            tasks=(task,),
            checkpoint=str(archives if model in INCEPTIONS else checkpoint(model)),
            handle_prefix=prefix,
        )
        handle = request.handle(catalog.get(model), task)

        def make(work: Path) -> Path:
            [outcome] = pipeline.export(dataclasses.replace(request, output=work))
            if outcome.error is not None:
                raise outcome.error
            return outcome.directory

        return make_once(shared / "modules" / handle, make)

    return get


@pytest.fixture(scope="session")
def stem(family) -> Path:
    """Return a directory with every version of a small module, which is quick to check. Don't write into it."""
    for version in contract.VERSIONS:
        directory = family(STEM.name, "feature_vector", version)
    return directory.parent


@pytest.fixture(scope="session")
def family(shared):
    """Return a function that returns the directory of a module of `stem.STEMS`. Don't write into it."""

    @functools.cache
    def get(model: str, task: str, version: int) -> Path:
        def make(work: Path) -> Path:
            return export_stem(work, model=model, task=task, versions=(version,)) / str(version)

        return make_once(shared / "family" / model / task / str(version), make)

    return get


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported module. Don't write into its directory."""

    model: catalog.Model
    task: str
    version: int
    directory: Path


def _exported(param, module) -> Exported:
    model, task, version = param
    return Exported(
        model=catalog.get(model),
        task=task,
        version=version,
        directory=module(model, task, version),
    )


@pytest.fixture(scope="session", params=MODULES, ids=lambda p: "-".join(map(str, p)))
def exported(request, module) -> Exported:
    """Return each of the modules of the TF1 Hub format in turn."""
    return _exported(request.param, module)


@pytest.fixture(scope="session", params=MODULES_5, ids=lambda p: "-".join(map(str, p)))
def exported_5(request, module) -> Exported:
    """Return each of the modules of version 5 in turn."""
    return _exported(request.param, module)


@pytest.fixture(scope="session")
def images():
    """Return a function that returns noise, float32 `[batch, height, width, 3]` in [0, 1], always the same."""

    def get(batch: int, height: int = 224, width: int | None = None) -> np.ndarray:
        size = (batch, height, width or height, 3)
        return np.random.RandomState(batch + height).uniform(size=size).astype(np.float32)

    return get


@pytest.fixture
def target(tmp_path) -> Path:
    """Return the path of a version; not even its parents exist."""
    return tmp_path / "modules" / "google" / "imagenet" / "inception_v1" / "classification" / "3"


@pytest.fixture
def existing(target) -> Path:
    """Return the path of a version that exists."""
    write(target, {"old": b"old"})
    return target
