"""A step of training: weights move as Slim's gradients say, and moving averages once."""

import numpy as np

from slimhub.signatures.checks.bounds import difference
from slimhub.signatures.contract.network import MOVING_AVERAGES

# Large, as the smallest steps would else be lost in the digits of their weights.
RATE = 1.0
# Of the length of a step; a weight that does not move has 1. Gradients of a deep network jump where
# a ReLU or a max pool is undecided: the number of threads alone, which sums in another order,
# changes single ones by a third of the largest.
STEP_TOLERANCE = 0.25


def assert_moved(row, before, after, statistics, *, momentum):
    """Each moving average is the exact mixture of what it was and the statistic of the batch."""
    share = 1 - momentum
    expected = {
        name: before[name].astype(np.float64) * momentum + share * statistic.astype(np.float64)
        for name, statistic in statistics.items()
    }
    actual = {name: value for name, value in after.items() if name.endswith(MOVING_AVERAGES)}
    # The number of threads alone was seen to change a statistic by 3e-4.
    row.compare(actual, expected, tolerance=1e-6 + 1e-3 * share)
    for name, average in expected.items():
        assert difference(average, before[name]) > 1e-2 * share, name


def assert_step(before, after, expected):
    """Every weight moved as far as Slim's gradients move it."""
    for name, stepped in expected.items():
        actual, step = after[name] - before[name], stepped - before[name]
        assert np.linalg.norm(actual - step) <= STEP_TOLERANCE * np.linalg.norm(step), name
