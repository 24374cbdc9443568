"""The request for an export, as the flags make it. Knows nothing of TensorFlow, which takes seconds to import."""

import dataclasses
import re
from pathlib import Path

from slimhub.export.errors import UsageError
from slimhub.models import catalog, unavailable
from slimhub.signatures.contract import handles, versions
from slimhub.signatures.contract.contract import TASKS
from slimhub.signatures.contract.handles import Handle
from slimhub.signatures.module import provenance

# What `models` and `checkpoint` may say beside names and places.
AUTO = "auto"
SYNTHETIC = "synthetic"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """A request for modules.

    Attributes:
      version: of the modules, the last part of their handles.
      contract: version of the contract that they keep; None for `version`. Where these differ, the
        modules are of a series of one's own.
      models, tasks: names; every combination is exported. `auto` alone is the network that the
        checkpoint is of.
      checkpoint: see `checkpoint.resolve`.
      sha256: what the file that `checkpoint` gives must have, in small hexadecimal digits.
      moving_averages: whether those of variables are exported in place of the variables.
      labels: names of the classes, in their order; None for none.
      output: root directory of all modules.
      handle_prefix: between `output` and the model; None for that of the model's record.
      overwrite: whether a version that exists is replaced, and its archive if it has one.
      archive: whether a version gets an archive, `<version>.tar.gz` beside it.
      hub_cache: whether a module is also put where tensorflow_hub looks for its URL; see
        `publishing.hub_cache`.
      allow_unused: whether variables of the checkpoint that nothing wants are ignored.

    Raises:
      UsageError: no contract is known, the prefix is no path of plain names or not one's own in a series
        of one's own, there are labels for no classes, TensorFlow can't read from the output, or what is
        asked for of the checkpoint can't be.
    """

    version: int
    contract: int | None = None
    models: tuple[str, ...] = catalog.names()
    tasks: tuple[str, ...] = TASKS
    checkpoint: str | None = None
    sha256: str | None = None
    moving_averages: bool = False
    labels: tuple[str, ...] | None = None
    output: Path = Path("build/modules")
    handle_prefix: str | None = None
    overwrite: bool = False
    archive: bool = False
    hub_cache: bool = False
    allow_unused: bool = False

    def __post_init__(self):
        self._refuse_versions()
        if self.labels is not None and "classification" not in self.tasks:
            raise UsageError(
                "--labels names classes, which modules of feature vectors do not have: leave it out, or "
                "export --task=classification."
            )
        parts = (self.handle_prefix or "").split("/")
        if self.handle_prefix is not None and not all(
            re.fullmatch(handles.PART, part) for part in parts
        ):
            raise UsageError(
                f"--handle_prefix={self.handle_prefix}: expected names of letters, digits, "
                "'.', '_' and '-', separated by single slashes."
            )
        if self.contract_version != self.version and self.prefix_is_published:
            raise UsageError(
                f"--version={self.version} --contract={self.contract}: a version that does not keep its "
                "own contract is one of a series of your own; --handle_prefix=me/flowers gives it a name "
                f"that is neither a default nor begins with {handles.PUBLISHER}/."
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

        self._refuse_unknowable()
        self._refuse_sum()

    @classmethod
    def for_handle(cls, text: str, **options) -> "ExportRequest":
        """Return the request for the module of a handle; `options` are the other attributes.

        Raises:
          UsageError: no module of that handle can be exported; says why, and what comes nearest.
        """
        try:
            handle = handles.parse(text)
        except ValueError as error:
            raise UsageError(f"--handle: {error}.") from error
        if handle.task not in TASKS:
            raise UsageError(
                f"--handle: expected {' or '.join(TASKS)} before the version, got {text}."
            )
        _refuse_unavailable(handle)
        return cls(
            version=handle.version,
            models=(handle.model,),
            tasks=(handle.task,),
            handle_prefix=handle.prefix or None,
            **options,
        )

    @property
    def contract_version(self) -> int:
        """Return the version of the contract that the modules keep."""
        return self.version if self.contract is None else self.contract

    @property
    def prefix_is_published(self) -> bool:
        """Return whether programs know other modules by the prefix: their versions, and their weights."""
        prefix, defaults = self.handle_prefix, {model.handle_prefix for model in catalog.MODELS}
        return prefix is None or prefix in defaults or prefix.split("/")[0] == handles.PUBLISHER

    def handle(self, model: catalog.Model, task: str) -> str:
        """Return the handle of a module."""
        prefix = model.handle_prefix if self.handle_prefix is None else self.handle_prefix
        return f"{prefix}/{model.name}/{task}/{self.version}"

    def _refuse_unknowable(self) -> None:
        if AUTO not in self.models:
            return
        if len(self.models) > 1:
            raise UsageError(
                "--model=auto exports the network that the checkpoint is of: leave out any other --model."
            )
        if self.checkpoint in (None, SYNTHETIC) or re.match("(?i)https?:", self.checkpoint):
            raise UsageError(
                f"--model=auto finds the network in a checkpoint on disk, got --checkpoint="
                f"{self.checkpoint or '(left out)'}: name such a one, or the model."
            )

    def _refuse_sum(self) -> None:
        if self.sha256 is None:
            return
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise UsageError(f"--sha256={self.sha256}: expected 64 hexadecimal digits.")
        if len(self.models) != 1:
            raise UsageError(
                f"--sha256 is that of one file, got the models {', '.join(self.models)}: choose one "
                "with --model, or --model=auto."
            )
        if self.checkpoint == SYNTHETIC:
            raise UsageError("--sha256 is that of a file, got --checkpoint=synthetic.")

    def _refuse_versions(self) -> None:
        known = versions.below(self.handle_prefix)
        numbers = " or ".join(map(str, known))
        if not 1 <= self.version <= provenance.MOST_VERSIONS:
            raise UsageError(f"--version={self.version}: expected 1 to {provenance.MOST_VERSIONS}.")
        if self.contract_version not in known:
            raise UsageError(
                f"--version={self.version}: expected {numbers}; in a series of your own, --contract says whose "
                "contract your modules keep."
                if self.contract is None
                else f"--contract={self.contract}: expected {numbers}."
            )


def _refuse_unavailable(handle: Handle) -> None:
    """Raise `UsageError` if the catalog has no weights for a handle."""
    if handle.model in catalog.names():
        model = catalog.get(handle.model)
        prefixes = (model.handle_prefix, *model.other_prefixes)
        if handle.prefix.split("/")[0] != handles.PUBLISHER or handle.prefix in prefixes:
            return
        why, nearest = unavailable.of_others(model), model
    else:
        family = unavailable.find(handle.model)
        if family is None:
            raise UsageError(
                f"{handle} can't be exported: expected one of {', '.join(catalog.names())}, "
                f"got {handle.model}."
            )
        name, nearest_name = family
        why, nearest = unavailable.unknown(name), catalog.get(nearest_name)
    there = dataclasses.replace(
        handle,
        prefix=nearest.handle_prefix,
        model=nearest.name,
        version=handle.version if handle.version in versions.VERSIONS else max(versions.VERSIONS),
    )
    raise UsageError(
        f"{handle} can't be exported. {why} The nearest is {there}, which has weights of its own."
    )
