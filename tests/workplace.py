"""Where the command lines run in tests: an output and a temporary directory that nobody else uses."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import program
from publishing import read

from slimhub.signatures import conformance


@dataclasses.dataclass(frozen=True)
class Workplace:
    """A directory to run in, with the temporary directory `tmp`; exports go to `modules`."""

    directory: Path

    def __post_init__(self):
        self.tmp.mkdir(parents=True, exist_ok=True)

    @property
    def tmp(self) -> Path:
        return self.directory / "tmp"

    def target(self, version: int) -> Path:
        path = "modules/google/imagenet/stem/feature_vector"
        return self.directory / path / str(version)

    def start(self, version: int, *flags: str, checkpoint="synthetic", **how) -> program.Run:
        """Starts an export of the stem; flags and others as for `program.start`."""
        flags = (f"--version={version}", f"--checkpoint={checkpoint}", *program.STEM_ONLY, *flags)
        return program.start(*flags, cwd=self.directory, **{"TMPDIR": str(self.tmp), **how})

    def export(self, version: int, *flags: str, **how) -> program.Done:
        """Exports the stem, to the end."""
        return self.start(version, *flags, **how).wait()

    def versions(self) -> list[str]:
        """Names of all that is in the directory of versions, staging directories among them."""
        parent = self.target(0).parent
        return sorted(path.name for path in parent.iterdir()) if parent.exists() else []

    def is_untouched(self) -> bool:
        """Whether nothing was left: no output, and nothing temporary."""
        return list(self.directory.rglob("*")) == [self.tmp]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """A run from its begin to its end: how long it took, and the files that it wrote."""

    version: int
    seconds: float
    files: dict[str, bytes]


def whole_run(directory: Path, version: int) -> Whole:
    """The second of two runs, whose module passes its checks."""
    for name in ("first", "second"):
        place, begin = Workplace(directory / name), time.monotonic()
        done = place.export(version)
        seconds = time.monotonic() - begin
        assert (done.code, done.stderr) == (0, "")
    assert conformance.check(place.target(version)).ok
    return Whole(version=version, seconds=seconds, files=read(place.target(version)))


def stop(
    run: program.Run, number: int, *, after: float, watch: Callable[[], None] = lambda: None
) -> program.Done:
    """Sends a signal to a run, `after` seconds from its begin; `watch` is called until then."""
    while not run.stderr.exists():
        time.sleep(0.002)
    moment = time.monotonic() + after
    while time.monotonic() < moment:
        watch()
        time.sleep(0.002)
    # It may be done.
    with contextlib.suppress(ProcessLookupError):
        run.signal(number)
    return run.wait()
