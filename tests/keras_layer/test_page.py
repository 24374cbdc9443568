"""docs/keras.md: its programs run as they stand there, and the tests that it names are here."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import readme

from slimhub.export import pipeline
from slimhub.export.request import ExportRequest
from slimhub.keras import ModuleLayer

TEXT = (readme.ROOT / "docs" / "keras.md").read_text()


@pytest.mark.xdist_group("inception_v1-5")
def test_programs(module, tmp_path, monkeypatch):
    """The programs run one after the other, and what was tuned is exported with the classes of its head."""
    codes = [code for language, code in readme.find_blocks(TEXT) if language == "python"]
    tasks = "\n".join(codes) + "\n" + codes[0].replace("feature_vector", "classification")
    monkeypatch.chdir(readme.checkout(tasks, module=module, into=tmp_path))
    names = {}
    for code in codes:
        exec(compile(code, "keras.md", "exec"), names)
    assert np.isfinite(names["history"].history["loss"]).all()
    assert names["heat"].shape == (4, 4, 4)
    request = ExportRequest(
        version=3,
        models=("inception_v1",),
        tasks=("classification",),
        checkpoint="tuned",
        handle_prefix="me/flowers",
        output=tmp_path / "modules",
    )
    [outcome] = pipeline.export(request)
    assert (outcome.error, outcome.num_classes) == (None, 3)


def test_arguments():
    """The table of arguments has those of the layer, in their order."""
    _, *arguments, _ = inspect.signature(ModuleLayer.__init__).parameters
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == arguments


def test_named_tests():
    """Each test that the page names is there, once."""
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    tests = [name for text in sources for name in re.findall(r"^def (test_\w+)", text, re.M)]
    assert {name: tests.count(name) for name in named} == dict.fromkeys(named, 1) != {}
