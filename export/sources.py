"""Where the weights of a model come from: its checkpoint, and its Slim graphs restored from that."""

import contextlib
import dataclasses
from pathlib import Path

from slimhub.export import checkpoint, half, labels, networks, worker
from slimhub.export.errors import ExportError, OutputError
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import scratch

# Bytes of a file from which on both modes at the same time would take too much memory.
_LARGE = 256 << 20


def one_after_the_other() -> dict[bool, networks.Caller]:
    """Halves of an export that are never in memory together."""
    return {training: worker.Here(half.Half(training=training)) for training in (False, True)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A model's checkpoint and Slim graphs."""

    checkpoint: checkpoint.Checkpoint
    networks: networks.Networks


def bring(
    request: ExportRequest, model: catalog.Model | None, stack: contextlib.ExitStack
) -> checkpoint.Checkpoint:
    """The checkpoint of a model, or of any; it stays as long as the stack."""
    return checkpoint.resolve(
        request.checkpoint, model=model, workdir=_directory(stack), sha256=request.sha256
    )


def _directory(stack: contextlib.ExitStack) -> Path:
    try:
        return stack.enter_context(scratch.temporary())
    except OSError as error:
        raise OutputError(
            f"There is no temporary directory (TMPDIR chooses one): {error}"
        ) from error


def resolve(request: ExportRequest, model: catalog.Model, found, halves, stack):
    """The source, or the error that every task of the model then shares."""
    try:
        found = found or bring(request, model, stack)
        opened = networks.Networks(
            model,
            version=request.contract,
            checkpoint=found.path,
            allow_unused=request.allow_unused,
            moving_averages=request.moving_averages,
            halves=halves if found.largest < _LARGE else one_after_the_other(),
            workdir=_directory(stack),
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
    except ExportError as error:
        return error
