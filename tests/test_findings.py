"""Inputs that the fuzzer found: none of them is found again."""

from pathlib import Path

import pytest
from fuzz_targets import TARGETS, mutated

pytestmark = pytest.mark.xdist_group("hostile")

FINDINGS = sorted(Path(__file__).parent.glob("findings/*/*"))


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_finding(stem, path):
    """What once broke a reader, or might, is read or refused as it should be."""
    assert path.stat().st_size < 20_000, "make it smaller"
    TARGETS[path.parent.name](path.read_bytes(), stem)


def test_every_target():
    """There is something to try for every target."""
    assert {path.parent.name for path in FINDINGS} == set(TARGETS)


@pytest.mark.parametrize("version", [3, 5])
def test_mutation(stem, version):
    """The same numbers always make the same of a module, and something else than it was."""
    good = stem / str(version)
    changes = {"mutations": [[0, 4, 7, 1, 2, 3], [1, 9, 5, 3, 1, 1]], "bytes": [[7, 1]]}
    found = mutated(good, changes)
    assert found == mutated(good, changes)
    assert found != mutated(good, {"mutations": [], "bytes": []})
