"""Numbers of a network that are found by running it, whatever its operations and their names."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf

from slimhub.signatures.graphs.inference_graph import InferenceGraph

Arrays = Mapping[str, np.ndarray]

# Shares of a number that float32 may lose to a few roundings, and to those of a long sum.
ROUNDING, _SUM_ROUNDING = 1e-6, 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A number that was found in several places.

    Attributes:
      value: the number.
      differing: the smallest and the largest of those that differ from it by more than rounding, if any do.
    """

    value: float
    differing: tuple[float, float] | None


def shortest(number: float, *, within: float) -> float:
    """Return the number with the fewest decimal digits that differs by at most that much."""
    if abs(number) <= within:
        return 0.0
    for digits in range(1, 10):
        decimal = float(f"{number:.{digits}g}")
        if abs(decimal - number) <= within:
            return decimal
    return number


def rescaling(
    graph: InferenceGraph, size: tuple[int, int]
) -> tuple[float, tuple[float, ...]] | None:
    """Find the scale and the offsets of what the first layers take: `scale * images - offsets`.

    Args:
      graph: runs the network.
      size: height and width of images that it takes.

    Returns:
      The scale, and one offset for all channels or one for each; None if what they take is no such
      function of the images.
    """
    names = graph.prepared_images()
    found = {_rescaling(functools.partial(graph.run, name), size) for name in names}
    return found.pop() if len(found) == 1 else None


def _rescaling(run: Callable[[np.ndarray], np.ndarray], size: tuple[int, int]):
    noise = np.random.RandomState(0).uniform(size=(1, *size, 3)).astype(np.float32)
    try:
        dark, bright, found = map(run, (np.zeros_like(noise), np.ones_like(noise), noise))
    except tf.errors.InvalidArgumentError:
        return None  # It depends on variables, too.
    if not dark.shape == bright.shape == found.shape == noise.shape:
        return None
    within = ROUNDING * max(np.max(np.abs(dark)), np.max(np.abs(bright)))
    scale, *offsets = (
        shortest(float(value), within=within)
        for value in (np.median(bright - dark), *-np.median(dark, axis=(0, 1, 2)))
    )
    expected = scale * noise - np.array(offsets, np.float32)
    # Infinite numbers and NaN are no such function.
    if not np.max(np.abs(found - expected)) <= _SUM_ROUNDING * np.max(np.abs(expected)):
        return None
    return scale, tuple(offsets if len(set(offsets)) > 1 else offsets[:1])


def momentum(
    update: Callable[[Arrays], Arrays], averages: Mapping[str, tuple[int, ...]]
) -> Found | None:
    """Find how much of their old values moving averages keep when they are updated.

    An update makes `momentum * old + (1 - momentum) * statistic` of an average, and the statistics of a
    batch are the same each time.

    Args:
      update: takes moving averages, and returns them updated, always with the same batch.
      averages: shapes by name.

    Returns:
      The momentum; None if no average is finite.
    """
    from_zero = update({name: np.zeros(shape, np.float32) for name, shape in averages.items()})
    # At least as large as the result, so that rounding changes the difference as little as can be.
    old = {name: np.maximum(1, np.abs(value)) for name, value in from_zero.items()}
    updated = update(old)
    slopes = np.concatenate(
        [((updated[name] - from_zero[name]) / old[name]).ravel() for name in sorted(old)]
    )
    return _common(slopes, within=ROUNDING)


def weight_decay(losses: Iterable[tuple[float, float]]) -> Found | None:
    """Find the factor of L2 losses.

    Args:
      losses: the value of each, and half the squared norm of its variables.

    Returns:
      The factor; None if all norms are zero.
    """
    factors = np.array([value / norm for value, norm in losses if norm])
    return _common(factors, within=_SUM_ROUNDING * np.abs(factors).min(initial=np.inf))


def _common(numbers: np.ndarray, *, within: float) -> Found | None:
    """Return the number that the finite ones have in common, but for rounding; None without any."""
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return None
    middle = float(np.median(numbers))
    differing = numbers[np.abs(numbers - middle) > within]
    return Found(
        value=shortest(middle, within=within),
        differing=(float(np.min(differing)), float(np.max(differing))) if differing.size else None,
    )
