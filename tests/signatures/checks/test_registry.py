"""The list of checks agrees with the functions that carry them out."""

import collections

import pytest

from slimhub.signatures.checks import registry, report, running, static, tf1, tf2
from slimhub.signatures.contract import formats


@pytest.mark.parametrize(
    ("format", "own"),
    [(formats.TF1_HUB, tf1), (formats.TF2_SAVED_MODEL, tf2)],
    ids=registry.FORMATS,
)
def test_functions(format, own):
    """Each check of a format has a function, each function a check, and each id stands once."""
    functions = [*static.CHECKS, *running.CHECKS, *own.CHECKS]
    known = [check.id for check in registry.CHECKS if format.name in check.formats]
    assert collections.Counter(known) == collections.Counter(functions)


def test_select():
    """Checks are selected by format and stage; stages follow each other; no format: those of all."""
    selected = registry.select(formats.TF1_HUB, registry.LOAD, registry.RUN)
    assert {check.stage for check in selected} == {registry.LOAD, registry.RUN}
    assert all(formats.TF1_HUB.name in check.formats for check in selected)
    assert {check.formats for check in registry.select(None)} == {registry.FORMATS}
    stages = [check.stage for check in registry.CHECKS]
    assert stages == sorted(stages, key=registry.STAGES.index)


def test_gate():
    """Whatever has to pass before a graph is run looks at what is on disk."""
    on_disk = {check.id for check in registry.select(None, registry.STATIC)}
    assert set(report.GATE) <= on_disk


def test_descriptions():
    """An id means the same in all formats."""
    described = {(check.id, check.description) for check in registry.CHECKS}
    assert len(described) == len({id for id, _ in described})
