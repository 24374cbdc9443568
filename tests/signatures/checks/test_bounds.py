"""Figures of trained networks are far from every bound, and a figure is judged rightly."""

import dataclasses

import numpy as np
import pytest

from slimhub.signatures.checks import bounds


@pytest.mark.parametrize("bound", bounds.BOUNDS, ids=lambda bound: bound.name)
def test_measured(bound):
    """Trained networks take at most a fifth of a bound."""
    assert 0 <= bound.measured <= 0.2


@pytest.mark.parametrize(
    ("figure", "response", "allowed", "ok"),
    [
        (0.0, np.inf, 1e-5, True),
        (1e-5, np.inf, 1e-5, True),
        (1e-4, 0.0, 1e-5, False),
        (1e-4, 1e-6, 1e-3, True),
        (2e-3, 1e-6, 1e-3, False),
        (1e-4, 1e-9, 1e-5, False),
        (np.inf, np.inf, 1e-5, False),
        (np.nan, np.nan, 1e-5, False),
        (1e-4, np.nan, 1e-5, False),
    ],
)
def test_response(figure, response, allowed, ok):
    """Beyond the limit, a figure may be so many times the response of the network, if that is a number."""
    bound = dataclasses.replace(bounds.SUM_ORDER, limit=1e-5, amplification=1000)
    found = bound.measure("here", figure, response=lambda: response)
    assert (found.allowed, found.ok) == (pytest.approx(allowed), ok)
    assert (found.share <= 1) == ok


def test_move_by_one_ulp():
    """Every pixel moves by one unit in the last place, and stays in [0, 1]."""
    images = np.random.RandomState(0).uniform(size=(2, 5, 7, 3)).astype(np.float32)
    images[0, 0] = [0, 1, 0.5]
    moved = bounds.move_by_one_ulp(images)
    assert moved.dtype == np.float32
    assert ((moved >= 0) & (moved <= 1)).all()
    # From 0 and 1 there may be no way on.
    assert (moved != images)[(images > 0) & (images < 1)].all()
    assert (np.abs(moved - images) <= np.spacing(images)).all()
