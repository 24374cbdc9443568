"""The bounds of all numeric checks and of parity, each with the reason why it is right for any weights.

No bound is set on what some weights happened to give: each follows from float32 arithmetic. How far a
network amplifies rounding depends on its weights; where that matters, it is measured in the same run, as
the response of its outputs when every pixel moves by one unit in the last place.

Figures are the largest absolute difference over the largest magnitude.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

# Distance from 1 to the next float32.
_EPSILON = float(np.finfo(np.float32).eps)

# A layer that rounds differently changes the outputs, at most as much as the last bits of the images do,
# which all layers amplify. Independent roundings add as roots: there are 155 layers in the deepest networks,
# ResNet 152, with sums of up to 4608 terms (3 x 3 x 512).
_AMPLIFICATION = math.sqrt(155 * 4608)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bound:
    """The bound of one kind of figure.

    Attributes:
      name: how results refer to it.
      limit: the most that the figure may be, whatever the network.
      amplification: how many times the response of the network is allowed where that is more.
      measured: the largest share of what was allowed that networks took which stock TF-Slim trained
        (`make clients`); tests hold it to a fifth.
    """

    name: str
    limit: float
    amplification: float = 0.0
    measured: float

    def measure(
        self, where: str, figure: float, *, response: Callable[[], float] = lambda: 0.0
    ) -> "Measurement":
        """Judge a figure. The response of the network is measured only if it can matter."""
        allowed = self.limit
        # From a fifth on, which is what tests allow trained networks.
        if self.amplification and np.isfinite(figure) and figure > self.limit / 5:
            responded = response()
            # An infinite response gives no bound.
            if np.isfinite(responded):
                allowed = max(allowed, self.amplification * responded)
        return Measurement(bound=self.name, where=where, figure=float(figure), allowed=allowed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """A figure that a check took: by which bound, where, and the most that was allowed there."""

    bound: str
    where: str
    figure: float
    allowed: float

    @property
    def ok(self) -> bool:
        # NaN is not.
        return self.figure <= self.allowed

    @property
    def share(self) -> float:
        """The part of what was allowed that the figure took; infinite for NaN."""
        return self.figure / self.allowed if self.figure == self.figure else np.inf

    def __str__(self) -> str:
        return (
            f"{self.where}: expected a difference of at most {self.allowed:.3g} of the largest "
            f"magnitude, got {self.figure:.3g}"
        )


# A sum of n terms in another order differs by about sqrt(n) roundings of half an epsilon each: 9e-6 for
# the 25088 terms of VGG's fc6, the longest. TensorFlow splits work in another way for another batch size.
SUM_ORDER = Bound(name="sum-order", limit=1e-5, amplification=_AMPLIFICATION, measured=0.094)

# Training normalizes by the statistics of the batch; inference with these same statistics is the same
# function, computed in other steps. Without any amplification, each rounding counts half an epsilon.
BATCH_STATISTICS = Bound(
    name="batch-statistics",
    limit=_AMPLIFICATION * _EPSILON / 2,
    amplification=_AMPLIFICATION,
    measured=0.188,
)

# The module runs the operations of the Slim graph on the same weights, in the same TensorFlow. Such runs
# give the same numbers, so there is nothing to amplify: the limit is for kernels of another machine.
PARITY = Bound(name="parity", limit=SUM_ORDER.limit, measured=0.0)

# An update is four operations on numbers of at most twice the larger of the moving average and the
# statistic: eight roundings of half an epsilon at most.
UPDATE = Bound(name="update", limit=4 * _EPSILON, measured=0.125)

# A loss sums squares: with no cancellation, the order of the sum is all that differs.
LOSS = Bound(name="loss", limit=SUM_ORDER.limit, measured=0.016)
# Beyond these, float32 may take a loss for 0 or for infinity, as it sums the squares before it scales them.
SMALLEST_LOSS, LARGEST_LOSS = 1e-25, 1e30

# A product and a sum, each rounded once or, fused, not at all; others may take a few steps more, such as
# from [0, 1] to [0, 255], and from there to [-1, 1], whose roundings are of numbers twice as large.
RESCALING = Bound(name="rescaling", limit=8 * _EPSILON, measured=0.0)

BOUNDS = (SUM_ORDER, BATCH_STATISTICS, PARITY, UPDATE, LOSS, RESCALING)


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest absolute difference over the largest magnitude; infinite if shapes differ or it is NaN."""
    if actual.shape != expected.shape:
        return np.inf
    if np.array_equal(actual, expected):
        return 0.0  # Equal infinities, too.
    with np.errstate(invalid="ignore", over="ignore"):
        largest = np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)
    return float(largest) if np.isfinite(largest) else np.inf


def move_by_one_ulp(images: np.ndarray) -> np.ndarray:
    """Move every pixel by one unit in the last place, up or down; always the same for the same shape.

    Args:
      images: float32 in [0, 1].
    """
    towards = np.random.RandomState(0).randint(2, size=images.shape).astype(np.float32)
    return np.nextafter(images, towards)
