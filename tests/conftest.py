"""Real checkpoints and real modules, each made once a session, whatever the number of workers."""

import contextlib
import dataclasses
import fcntl
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

import quietly  # noqa: F401
from publishing import write
from stem import INCEPTIONS, export_stem

from slimhub.export import checkpoint_archive, exporter, synthetic
from slimhub.export.request import ExportRequest
from slimhub.models import catalog

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
    """The long ones first: the short ones then fill up whichever worker is done."""
    group = item.get_closest_marker("xdist_group")
    if group is None:
        return 2
    return 0 if item.get_closest_marker("slow") and group.args[0].startswith("kills") else 1


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A directory that all workers of the session see."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)
    return shared


@contextlib.contextmanager
def _alone(path: Path):
    """Holds the lock of `path`; whoever comes second finds it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def archives(shared):
    """A directory with synthetic archives of two models, laid out like the published ones."""
    directory = shared / "archives"
    for model in map(catalog.get, INCEPTIONS):
        with _alone(directory / model.archive.name):
            if not (directory / model.archive.name).exists():
                synthetic.write_archive(model, into=directory)
    return directory


@pytest.fixture(scope="session")
def checkpoint(shared, archives):
    """A function that gives the V1 checkpoint file of a model, out of its archive if there is one."""

    def get(name: str) -> Path:
        published = catalog.get(name).archive
        path = shared / "checkpoints" / published.member
        with _alone(path):
            if not path.exists():
                if name in INCEPTIONS:
                    checkpoint_archive.extract(
                        archives / published.name,
                        members={published.member: published.max_member_bytes},
                        into=path.parent,
                    )
                else:
                    synthetic.write_checkpoint(synthetic.weights(catalog.get(name)), path)
        return path

    return get


@pytest.fixture(scope="session")
def module(shared, archives):
    """A function that gives the directory of an exported module. Do not write into it."""

    def get(model: str, task: str, version: int) -> Path:
        request = ExportRequest(
            version=version,
            models=(model,),
            tasks=(task,),
            checkpoint=str(archives),
            output=shared / "modules",
        )
        path = request.output / request.handle(catalog.get(model), task)
        with _alone(path):
            if not path.exists():
                [outcome] = exporter.export(request)
                if outcome.error is not None:
                    raise outcome.error
        return path

    return get


@pytest.fixture(scope="session")
def stem(tmp_path_factory) -> Path:
    """A directory with every version of a small module, which is quick to check."""
    return export_stem(tmp_path_factory.mktemp("stem"))


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """A function that gives a module of one of `stem.STEMS`. Do not write into it."""
    output = tmp_path_factory.mktemp("family")

    @functools.cache
    def get(model: str, task: str, version: int) -> Path:
        return export_stem(output, model=model, task=task, versions=(version,)) / str(version)

    return get


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """A module that was exported, and what it is; do not write into its directory."""

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
    """Modules of the TF1 Hub format, one after the other."""
    return _exported(request.param, module)


@pytest.fixture(scope="session", params=MODULES_5, ids=lambda p: "-".join(map(str, p)))
def exported_5(request, module) -> Exported:
    """Modules of version 5, one after the other."""
    return _exported(request.param, module)


@pytest.fixture(scope="session")
def images():
    """A function that gives noise: float32 `[batch, height, width, 3]` in [0, 1], always the same."""

    def get(batch: int, height: int = 224, width: int | None = None) -> np.ndarray:
        size = (batch, height, width or height, 3)
        return np.random.RandomState(batch + height).uniform(size=size).astype(np.float32)

    return get


@pytest.fixture
def target(tmp_path) -> Path:
    """Where a version goes; not even its parents exist."""
    return tmp_path / "modules" / "google" / "imagenet" / "inception_v1" / "classification" / "3"


@pytest.fixture
def existing(target) -> Path:
    """A version that is there already."""
    write(target, {"old": b"old"})
    return target
