"""export/parity.py: the figure itself."""

import numpy as np
import pytest

from slimhub.export.parity import difference


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
    """It is the largest absolute difference over the largest magnitude, infinite if there is none."""
    assert difference(np.array(actual), np.array(expected)) == found
