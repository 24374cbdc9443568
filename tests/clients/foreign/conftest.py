"""Modules that slimhub did not write, each written once: most of them stay in the user's cache."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pictures
import pytest
from clients import consumer
from clients.environments import cache, environments
from clients.foreign import recipes
from made_once import make_once
from stem import STEM, sign

_PROGRAMS = consumer.PROGRAMS / "foreign"


@pytest.fixture(scope="session")
def written(shared, module, family, tmp_path_factory):
    """A function that gives the directory of a module by its origin and name. Don't write into it."""

    def slim(name: str) -> Path:
        quick = name in recipes.SLIM
        modules = recipes.SLIM if quick else recipes.SLOW_SLIM
        calibration, _ = pictures.draw(4, size=224, seed=0)
        directory = _write(
            "write_slim_modules",
            "tf-1.15",
            kind="slim" if quick else "slow_slim",
            images={"calibration": calibration},
            modules=modules,
        )
        return directory / name

    def saved_model(name: str) -> Path:
        calibration, _ = pictures.draw(4, size=96, seed=0)
        directory = _write(
            "write_saved_models",
            "tf-newest",
            kind="saved_models",
            images={"calibration": calibration},
            applications=recipes.APPLICATIONS,
            hand_written=recipes.HAND_WRITTEN,
        )
        return directory / name

    def fine_tuned(name: str) -> Path:
        sources = {
            "slim": slim("v1-classification-3"),
            "slimhub": module("inception_v1", "feature_vector", 3),
        }
        images, labels = pictures.draw(6, size=128, seed=0)

        def make(work: Path) -> Path:
            _run(
                "fine_tune",
                "tf-1.15",
                images={"images": images, "labels": labels},
                output=str(work),
                modules={name: str(path) for name, path in sources.items()},
                steps=3,
                rate=1e-3,
            )
            return work

        # Of which foreign module, its directory tells.
        return make_once(shared / "fine_tuned" / sources["slim"].parent.name, make) / name

    def slimhub(version: str) -> Path:
        exported = module("inception_v1", "feature_vector", int(version))
        directory = tmp_path_factory.mktemp("without_provenance") / version
        without = shutil.ignore_patterns("assets.extra")
        return shutil.copytree(exported, directory, ignore=without, copy_function=os.link)

    def three_layers(version: str) -> Path:
        exported = family(STEM.name, "feature_vector", int(version))
        directory = tmp_path_factory.mktemp("three_layers") / version
        shutil.copytree(exported, directory)
        handle = f"google/imagenet/inception_v1/feature_vector/{version}"
        sign(directory, model="inception_v1", handle=handle)
        return directory

    origins = {
        "slim": slim,
        "saved-model": saved_model,
        "fine-tuned": fine_tuned,
        "slimhub": slimhub,
        "three-layers": three_layers,
    }

    def get(origin: str, name: str) -> Path:
        try:
            return origins[origin](name)
        except environments.MissingInterpreterError as error:
            pytest.skip(str(error))

    return get


def _write(program: str, environment: str, *, kind: str, images: Mapping, **job) -> Path:
    """Run a program that writes modules, unless it has; return where they are."""
    sources = [path.read_text() for path in sorted(_PROGRAMS.glob("*.py"))]
    installed = environments.environments()[environment].directory.name
    content = json.dumps([sources, installed, job])
    directory = cache.directory("foreign", kind, content=content)

    def make() -> None:
        _run(program, environment, images=images, output=str(directory), **job)

    cache.make_once(directory, make)
    return directory


def _run(program: str, environment: str, **job) -> None:
    found = environments.environments()[environment]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary, "program")
        directory.mkdir()
        consumer.run(found, f"foreign/{program}", directory=directory, timeout=1800, **job)
