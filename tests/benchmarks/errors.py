"""What ends a group of measurements.

    BenchmarkError
    ├── BrokenProgramError   a program failed, or took too long
    └── WrongResultError     contenders don't do the same

And `MissingPeerError`, which only leaves a peer out.
"""


class BenchmarkError(Exception):
    """A group of measurements has no result."""


class BrokenProgramError(BenchmarkError):
    """A program failed, or took too long; ends with what it said."""


class WrongResultError(BenchmarkError):
    """Contenders give different results: timing them would compare different things."""


class MissingPeerError(Exception):
    """A peer can't be measured here; says why."""
