"""What was measured, as figures: medians, their ratios, and whether a goal is met."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """What was measured of one contender: a sample a round.

    Attributes:
      name: of the contender.
      unit: `s`, or `B`.
      samples: in the order of rounds; none, where it could not be measured.
    """

    name: str
    unit: str = "s"
    samples: tuple[float, ...] = ()

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
      group: of measurements.
      what: was measured.
      ours: what slimhub did, or one of its modules.
      peer: what it stands beside.
      most_ratio: goal for the ratio.
      most: goal for our own median, in its unit.
    """

    group: str
    what: str
    ours: Series
    peer: Series
    most_ratio: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        """Of our median to the peer's."""
        if not self.ours.median or not self.peer.median:
            return None
        return self.ours.median / self.peer.median

    @property
    def ratios(self) -> tuple[float, ...]:
        """Of each round: how far they lie apart tells how much the ratio is worth."""
        pairs = zip(self.ours.samples, self.peer.samples, strict=False)
        return tuple(ours / peer for ours, peer in pairs)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, or without what it is about."""
        if self.most_ratio is not None:
            return None if self.ratio is None else self.ratio <= self.most_ratio
        if self.most is not None:
            return None if self.ours.median is None else self.ours.median <= self.most
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a group of measurements gave; attributes as those of report.Report."""

    figures: Sequence[Figure]
    stages: Mapping[str, Mapping[str, float | None]] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    seconds: float,
    least: int = 1,
) -> dict[str, list]:
    """Calls every contender once a round: what slows the machine for a while slows all of them.

    Args:
      contenders: functions by name.
      rounds: that there are at most.
      seconds: no round is begun that would not end within them, if it takes as long as the last.
      least: rounds that there are in any case.

    Returns:
      What the functions gave, by name, in the order of rounds.
    """
    given = {name: [] for name in contenders}
    started = time.monotonic()
    for number in range(rounds):
        began = time.monotonic()
        for name, contender in contenders.items():
            given[name].append(contender())
        now = time.monotonic()
        if number + 1 >= least and now + (now - began) > started + seconds:
            break
    return given
