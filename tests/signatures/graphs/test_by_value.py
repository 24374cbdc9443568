"""Numbers of a network are found by running it."""

import numpy as np
import pytest

from slimhub.signatures.graphs import by_value


@pytest.mark.parametrize(
    "number", [0.0, 255.0, 2.0, 123.68, 116.779, 103.939, 103.94, 4e-05, 0.9997]
)
def test_shortest(number):
    """A decimal is found again in what float32 makes of it, with either sign."""
    for sign in (1, -1):
        stored = float(np.float32(sign * number))
        assert by_value.shortest(stored, within=1e-6 * number) == sign * number


def test_shortest_of_zero():
    """Zero has no sign."""
    assert str(by_value.shortest(-0.0, within=0)) == "0.0"


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.997, 0.9997, 0.99999, 1.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_momentum(momentum, size):
    """The momentum is found whatever the statistics are."""
    statistics = (size * np.random.RandomState(0).normal(size=50)).astype("f")
    rate = np.float32(1) - np.float32(momentum)

    def update(averages):
        return {"mean": averages["mean"] - rate * (averages["mean"] - statistics)}

    found = by_value.momentum(update, {"mean": (50,)})
    assert found == by_value.Found(value=momentum, differing=None)


def test_differing_momenta():
    """The momentum that most averages have is found, and that others have another."""
    keep = {"a": 0.9, "b": 0.9, "c": 0.5}

    def update(averages):
        return {name: (keep[name] * averages[name]).astype("f") for name in averages}

    found = by_value.momentum(update, dict.fromkeys(keep, (3,)))
    assert found.value == 0.9
    assert found.differing == pytest.approx((0.5, 0.5))


def test_no_finite_average():
    """There is no momentum of averages that are not finite."""
    assert by_value.momentum(lambda old: {"a": np.full(3, np.nan)}, {"a": (3,)}) is None


def test_weight_decay():
    """Kernels that are zero tell nothing of the weight decay."""
    losses = [(0.0, 0.0), (4e-5 * 123.456, 123.456), (4e-5, 1.0)]
    assert by_value.weight_decay(losses) == by_value.Found(value=4e-5, differing=None)
    assert by_value.weight_decay(losses[:1]) is None
