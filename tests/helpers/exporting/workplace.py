"""Directories in which tests run the command lines: an output and a temporary directory of their own."""

import dataclasses
from pathlib import Path

import program


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
        """Start an export of the stem; `program.start` describes the other arguments."""
        flags = (f"--version={version}", f"--checkpoint={checkpoint}", *program.STEM_ONLY, *flags)
        return program.start(*flags, cwd=self.directory, **{"TMPDIR": str(self.tmp), **how})

    def export(self, version: int, *flags: str, **how) -> program.Done:
        """Export the stem, and wait for the end."""
        return self.start(version, *flags, **how).wait()

    def versions(self) -> list[str]:
        """Return all names in the directory of versions, including staging directories."""
        parent = self.target(0).parent
        return sorted(path.name for path in parent.iterdir()) if parent.exists() else []

    def is_untouched(self) -> bool:
        """Return whether nothing was left: no output, and no temporary files."""
        return list(self.directory.rglob("*")) == [self.tmp]
