"""The story of an export: resolve, build, restore, write, verify, publish.

Nothing is published that has not been reloaded from disk and checked. Modules are exported
one after the other; one that fails does not stop the others.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from slimhub.export import class_names
from slimhub.export.checkpoints import recognition, resolve
from slimhub.export.errors import ExportError, OutputError
from slimhub.export.publishing import publish
from slimhub.export.request import AUTO, ExportRequest
from slimhub.export.slim_graphs import SlimGraphs
from slimhub.export.verification import verify
from slimhub.export.verification.processes import ForkedProcess
from slimhub.export.writers import write
from slimhub.models import catalog
from slimhub.models.model import Model
from slimhub.signatures.contract import contract, network
from slimhub.signatures.module import module_archive
from slimhub.support import cpu, memory, signals, temporary

# Bytes of a file from which on both modes at the same time would take too much memory.
_LARGE = 256 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of exporting one module: the error, or figures of what was published.

    Attributes:
      handle: of the module.
      error: why it was not published.
      directory: where it was published.
      archive: what was published beside it, if anything was.
      hub_cache: where it is for tensorflow_hub, which looks for its URL there.
      weights: where they are from, in words.
      checkpoint: what they were read from, a path or `synthetic`.
      moving_averages: whether they are those of the training.
      signatures: their names.
      num_bytes: of all its files.
      num_classes: of its logits, if it has any.
      parity: largest difference to the Slim graph, relative to the largest magnitude.
      stages: seconds that the export took by stage, without those for getting the checkpoint; what is
        done once for all tasks of a model is counted with the first.
    """

    handle: str
    error: ExportError | None = None
    directory: Path | None = None
    archive: module_archive.Packed | None = None
    hub_cache: tuple[Path, ...] = ()
    weights: str = ""
    checkpoint: str = ""
    moving_averages: bool = False
    signatures: tuple[str, ...] = ()
    num_bytes: int = 0
    num_classes: int | None = None
    parity: float = 0.0
    stages: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(self.stages.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Source:
    """A checkpoint on disk, and the directory that it was unpacked in."""

    checkpoint: resolve.Checkpoint
    workdir: Path


def export(request: ExportRequest, *, executor: ForkedProcess | None = None) -> Iterator[Outcome]:
    """Export every module of a request, on the CPU, and yield the outcome of each.

    Args:
      request: which modules.
      executor: a process for training; None does everything in this one.
    """
    for name in request.models:
        with contextlib.ExitStack() as stack:
            yield from _export_model(request, name, executor, stack)


def _export_model(
    request: ExportRequest, name: str, executor: ForkedProcess | None, stack: contextlib.ExitStack
) -> Iterator[Outcome]:
    source = None
    if name == AUTO:
        try:
            source = _resolve(request, None, stack)
            name = recognition.model_of(source.checkpoint.path).name
        except ExportError as error:
            yield Outcome(handle=AUTO, error=error)
            return
    model = catalog.get(name)
    errors = dict(_unpublishable(request, model))
    if len(errors) < len(request.tasks):
        try:
            # Not before a module wants it: it may be a download.
            source = source or _resolve(request, model, stack)
            if executor is not None:
                # Before the files that it writes are removed.
                stack.push(executor.finish)
            if source.checkpoint.largest >= _LARGE:
                executor = None
            graphs = _open(request, model, source, executor)
        except ExportError as error:
            errors = {**dict.fromkeys(request.tasks, error), **errors}
    for task in request.tasks:
        outcome = Outcome(handle=request.handle(model, task), error=errors.get(task))
        if outcome.error is None:
            try:
                outcome = _export_module(request, model, task, graphs, executor)
            except ExportError as error:
                outcome = dataclasses.replace(outcome, error=error)
        yield outcome


def _unpublishable(request: ExportRequest, model: Model) -> Iterator[tuple[str, ExportError]]:
    """Yield the tasks whose modules can't be published, and why."""
    for task in request.tasks:
        target = request.output / request.handle(model, task)
        publish.remove_stale_staging(target)
        try:
            publish.check_publishable(target, overwrite=request.overwrite)
            if request.hub_cache and not request.overwrite:
                _hub_cache().check_free(request.handle(model, task))
        except ExportError as error:
            yield task, error


@cpu.run_on_cpu()
def _resolve(request: ExportRequest, model: Model | None, stack: contextlib.ExitStack) -> _Source:
    """Find the checkpoint of a model, or of any. It is there until the stack ends."""
    try:
        workdir = stack.enter_context(temporary.temporary())
    except OSError as error:
        raise OutputError(
            f"There is no temporary directory (TMPDIR chooses one): {error}"
        ) from error
    checkpoint = resolve.resolve(
        request.checkpoint, model=model, workdir=workdir, sha256=request.sha256
    )
    return _Source(checkpoint=checkpoint, workdir=workdir)


@cpu.run_on_cpu()
def _open(
    request: ExportRequest, model: Model, source: _Source, executor: ForkedProcess | None
) -> SlimGraphs:
    """Open the checkpoint. Raise `UsageError` if it has not as many classes as there are names."""
    checkpoint = source.checkpoint
    graphs = SlimGraphs(request, model, checkpoint, workdir=source.workdir, executor=executor)
    if request.labels is not None:
        # Once for all tasks: the feature vectors of a head that was mistaken are not wanted either.
        class_names.check_number(
            request.labels,
            model=model,
            checkpoint=checkpoint.path.name,
            num_classes=graphs.classes_of_head,
        )
    return graphs


@cpu.run_on_cpu()
def _export_module(
    request: ExportRequest,
    model: Model,
    task: str,
    graphs: SlimGraphs,
    executor: ForkedProcess | None,
) -> Outcome:
    watch = _Stopwatch()
    handle = request.handle(model, task)
    target = request.output / handle
    with watch("building"):
        restored, references = graphs.restore(task)
    promise = contract.promise(
        version=request.contract_version,
        prefix=request.handle_prefix,
        task=task,
        network=network.get(model.name),
        num_classes=restored.definitions.num_classes,
        labels=task == "classification" and request.labels is not None,
    )
    with publish.staging(target, overwrite=request.overwrite) as staging:
        with watch("writing"):
            provenance = write.write_module(
                staging, request, model, graphs.checkpoint, restored, promise
            )
            # Beside those of a large network, there would be no room for what comes next.
            restored.weights.clear()
            memory.release_memory()
        with watch("checking"):
            try:
                parity = verify.verify(
                    staging, promise, handle=handle, references=references, executor=executor
                )
            finally:
                signals.exit_if_stopped()
                # If it changed, that is why a check failed; and if none did, the record is wrong.
                graphs.checkpoint.check_unchanged()
            num_bytes = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
        with watch("publishing"):
            archive = _pack(staging, target, request)
            publish.publish(staging, target, overwrite=request.overwrite)
            cached = _hub_cache().put(target, handle) if request.hub_cache else ()
    return Outcome(
        handle=handle,
        directory=target,
        archive=archive,
        hub_cache=cached,
        weights=provenance.weights,
        checkpoint=graphs.checkpoint.taken,
        moving_averages=request.moving_averages,
        signatures=tuple(
            dict.fromkeys(one.name for mode in promise.modes for one in mode.signatures)
        ),
        num_bytes=num_bytes,
        num_classes=restored.definitions.num_classes,
        parity=parity,
        stages=watch.seconds,
    )


def _hub_cache():
    # tensorflow_hub takes seconds to import, and few exports need it.
    from slimhub.export.publishing import hub_cache

    return hub_cache


class _Stopwatch:
    """Seconds by what they were spent on."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[stage] = time.monotonic() - started


def _pack(directory: Path, target: Path, request: ExportRequest) -> module_archive.Packed | None:
    """Write the archive of a module, if it was asked for, or one that is there must be replaced."""
    if request.archive or os.path.lexists(module_archive.path_of(target)):
        return publish.pack(directory, into=module_archive.path_of(directory))
    return None
