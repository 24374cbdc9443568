"""Inputs that the fuzzer found: none of them is found again."""

from pathlib import Path

import pytest
from fuzz_targets import TARGETS

pytestmark = pytest.mark.xdist_group("hostile")

FINDINGS = sorted(Path(__file__).parent.glob("findings/*/*"))


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_finding(path):
    """Inputs that once broke a reader, or might, are read or refused as they should be."""
    assert path.stat().st_size < 20_000, "make it smaller"
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target():
    """There is something to try for every target."""
    assert {path.parent.name for path in FINDINGS} == set(TARGETS)
