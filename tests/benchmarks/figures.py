"""Measurements as figures: medians, their ratios, and whether a goal is met."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A line of the table.

    Attributes:
      group: of measurements.
      what: was measured.
      ours: what slimhub did, or one of its modules: a sample a round.
      peer: the name of what it stands beside.
      theirs: samples of the peer; none, where it could not be measured.
      unit: `s`, or `B`.
      most_ratio: goal for the ratio.
      most: goal for our own median, in its unit.
    """

    group: str
    what: str
    ours: Sequence[float]
    peer: str
    theirs: Sequence[float]
    unit: str = "s"
    most_ratio: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return the ratio of our median to the peer's; None without a peer."""
        if not self.ours or not self.theirs:
            return None
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def ratios(self) -> list[float]:
        """Return the ratio of each round: how far they lie apart tells how much the median's is worth."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=False)]

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None without a goal, or without what it is about."""
        if self.most is not None:
            return statistics.median(self.ours) <= self.most
        if self.most_ratio is None or self.ratio is None:
            return None
        return self.ratio <= self.most_ratio


def interleaved(contenders: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list]:
    """Call every contender once a round: what slows the machine for a while slows all of them.

    Return what each gave, by its name, in the order of rounds.
    """
    given = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            given[name].append(contender())
    return given
