"""What to export, as the flags say it. Knows nothing of TensorFlow, which takes seconds to import."""

import dataclasses
import re
from pathlib import Path

from slimhub.export.errors import UsageError
from slimhub.models import catalog
from slimhub.signatures import contract

# Of a part of a handle.
NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export.

    Attributes:
      version: whose contract the modules keep.
      models, tasks: names; every combination is exported.
      checkpoint: see `checkpoint.resolve`.
      output: root directory of all modules.
      handle_prefix: between `output` and the model.
      overwrite: whether a version that exists is replaced, and its archive if it has one.
      archive: whether a version gets an archive, `<version>.tar.gz` beside it.
      allow_unused: whether variables of the checkpoint that nothing wants are ignored.

    Raises:
      UsageError: the prefix is no path of plain names, or TensorFlow can't read from the output.
    """

    version: int
    models: tuple[str, ...] = catalog.names()
    tasks: tuple[str, ...] = contract.TASKS
    checkpoint: str | None = None
    output: Path = Path("build/modules")
    handle_prefix: str = "google/imagenet"
    overwrite: bool = False
    archive: bool = False
    allow_unused: bool = False

    def __post_init__(self):
        parts = self.handle_prefix.split("/")
        if not all(re.fullmatch(NAME, part) for part in parts):
            raise UsageError(
                f"--handle_prefix={self.handle_prefix}: expected names of letters, digits, "
                "'.', '_' and '-', separated by single slashes."
            )
        output = str(self.output)
        if re.search(r"[*?\[\\]", output):
            raise UsageError(
                f"--output={output}: TensorFlow takes '*', '?', '[' and '\\' in a path for a "
                "pattern, and could not load the modules from there."
            )
        if not output.isprintable():
            raise UsageError(
                f"--output={output!a}: expected UTF-8 without control characters, or TensorFlow "
                "could not load the modules from there."
            )

    def handle(self, model: str, task: str) -> str:
        return f"{self.handle_prefix}/{model}/{task}/{self.version}"
