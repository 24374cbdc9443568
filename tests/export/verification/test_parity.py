"""The difference of two arrays."""

import numpy as np
import pytest

from slimhub.signatures.checks.bounds import difference


@pytest.mark.parametrize(
    ("actual", "expected", "found"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0),
        ([1.0, -3.0], [1.0, -4.0], 0.25),
        ([1.5, 4.0], [1.0, 4.0], 0.125),
        ([0.0, 0.0], [0.0, 0.0], 0),
        ([0.0, 0.5], [0.0, 0.0], 0.5),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([1.0, 1.0], [np.nan, 1.0], np.inf),
        ([np.inf, 1.0], [1.0, 1.0], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
        ([[1.0, 1.0]], [1.0, 1.0], np.inf),
    ],
)
def test_difference(actual, expected, found):
    """The difference is the largest absolute one over the largest magnitude, or infinite if undefined."""
    assert difference(np.array(actual), np.array(expected)) == found
