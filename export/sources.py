"""Where the weights of a model come from: its checkpoint, and its Slim graphs restored from that."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from slimhub.export import checkpoint, half, labels, networks, worker
from slimhub.export.errors import OutputError
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import scratch

# Bytes of a file from which on both modes at the same time would take too much memory.
_LARGE = 256 << 20


def one_after_the_other() -> dict[bool, networks.Caller]:
    """Halves of an export that are never in memory together."""
    return {training: worker.Here(half.Half(training=training)) for training in (False, True)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brought:
    """A checkpoint on disk, and the directory that it was unpacked in; both go with the stack."""

    checkpoint: checkpoint.Checkpoint
    directory: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A model's checkpoint and Slim graphs."""

    checkpoint: checkpoint.Checkpoint
    networks: networks.Networks


def bring(
    request: ExportRequest, model: catalog.Model | None, stack: contextlib.ExitStack
) -> Brought:
    """Brings the checkpoint of a model, or of any. Raises `CheckpointError` or `OutputError`."""
    try:
        directory = stack.enter_context(scratch.temporary())
    except OSError as error:
        raise OutputError(
            f"There is no temporary directory (TMPDIR chooses one): {error}"
        ) from error
    found = checkpoint.resolve(
        request.checkpoint, model=model, workdir=directory, sha256=request.sha256
    )
    return Brought(checkpoint=found, directory=directory)


def open_networks(
    request: ExportRequest,
    model: catalog.Model,
    brought: Brought,
    halves: Mapping[bool, networks.Caller],
) -> Source:
    """The Slim graphs of a model, to be restored from its checkpoint.

    Args:
      request: what is exported.
      model: which network.
      brought: its checkpoint.
      halves: as for `networks.Networks`; not used for a large network.

    Raises:
      CheckpointError, UsageError: the checkpoint can't be read, or has not as many classes as labels.
    """
    found = brought.checkpoint
    opened = networks.Networks(
        model,
        version=request.contract,
        checkpoint=found.path,
        allow_unused=request.allow_unused,
        moving_averages=request.moving_averages,
        halves=halves if found.largest < _LARGE else one_after_the_other(),
        workdir=brought.directory / "references",
    )
    if request.labels is not None:
        # Once for all tasks: the feature vectors of a head that was mistaken are not wanted either.
        labels.refuse_others(
            request.labels,
            model=model,
            checkpoint=found.path.name,
            num_classes=opened.classes_of_head,
        )
    return Source(checkpoint=found, networks=opened)
