"""The story of an export: resolve, restore, write, check, publish.

Nothing is published that has not been reloaded from disk and checked. Modules are exported
one after the other; one that fails does not stop the others.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from slimhub.export import (
    labels,
    memory,
    module_archive,
    networks,
    parity,
    publish,
    reasons,
    recognition,
    saved_model,
    sources,
    tf1_hub,
    worker,
)
from slimhub.export.errors import CheckError, ExportError
from slimhub.export.request import AUTO, ExportRequest
from slimhub.models import catalog
from slimhub.signatures import conformance, contract, formats, signals
from slimhub.signatures import labels as label_file
from slimhub.signatures.module import Module
from slimhub.signatures.provenance import Provenance, files_in
from slimhub.signatures.subject import Subject

_WRITERS = {formats.TF1_HUB.name: tf1_hub, formats.TF2_SAVED_MODEL.name: saved_model}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one module: the error, or figures of what was published.

    Attributes:
      handle: of the module.
      error: why it was not published.
      directory: where it was published.
      archive: what was published beside it, if anything was.
      weights: where they are from, in words.
      checkpoint: what they were read from, a path or `synthetic`.
      moving_averages: whether they are those of the training.
      signatures: their names.
      num_bytes: of all its files.
      num_classes: of its logits, if it has any.
      parity: largest difference to the Slim graph, relative to the largest magnitude.
      stages: seconds that the export took, without bringing the checkpoint, by what they went to;
        what is done once for all tasks of a model is counted with the first.
    """

    handle: str
    error: ExportError | None = None
    directory: Path | None = None
    archive: module_archive.Packed | None = None
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


def export(request: ExportRequest, *, other: worker.Worker | None = None) -> Iterator[Outcome]:
    """Exports every module of a request, and yields how each one went.

    Args:
      request: which modules.
      other: a process with a `Half` for training, which then works at the same time as this one;
        None does everything here.
    """
    halves = sources.one_after_the_other()
    if other is not None:
        halves[True] = other
    for name in request.models:
        with contextlib.ExitStack() as stack:
            brought = None
            if name == AUTO:
                try:
                    brought = sources.bring(request, None, stack)
                    name = recognition.model_of(brought.checkpoint.path).name
                except ExportError as error:
                    yield Outcome(handle=AUTO, error=error)
                    continue
            yield from _export_model(request, catalog.get(name), brought, halves, stack)


def _export_model(
    request: ExportRequest,
    model: catalog.Model,
    brought: sources.Brought | None,
    halves: Mapping[bool, networks.Caller],
    stack: contextlib.ExitStack,
) -> Iterator[Outcome]:
    """Exports a model for every task; its checkpoint is brought if it was not."""

    @functools.cache
    def source() -> sources.Source | ExportError:
        try:
            found = brought or sources.bring(request, model, stack)
            return sources.open_networks(request, model, found, halves)
        except ExportError as error:
            # All tasks share it.
            return error

    for task in request.tasks:
        handle = request.handle(model, task)
        target = request.output / handle
        try:
            publish.clear_up(target)
            publish.refuse_unpublishable(target, overwrite=request.overwrite)
            # Not before a module wants it, and once a model: it may be a download.
            found = source()
            if isinstance(found, ExportError):
                raise found
            yield _export_module(request, model, task, target, found)
        except ExportError as error:
            yield Outcome(handle=handle, error=error)


def _export_module(request, model, task, target, source: sources.Source) -> Outcome:
    watch = _Stopwatch()
    with watch("building"):
        restored = source.networks.restored(task)
    names = request.labels if task == "classification" else None
    labels_file = contract.VERSIONS[request.contract].format.labels if names else None
    provenance = Provenance(
        handle=request.handle(model, task),
        model=model.name,
        task=task,
        version=request.version,
        contract=request.contract,
        status=source.checkpoint.status,
        checkpoint=source.checkpoint.files,
        moving_averages=request.moving_averages,
        files=(),
        parity_tolerance=parity.TOLERANCE,
        libraries=_libraries(),
        # Of training: what dropout acts on cannot be told from the other.
        interface=restored.definitions[True].interface,
        labels=labels.in_words(
            model,
            num_classes=restored.num_classes,
            file=labels_file,
            published=source.checkpoint.status == "verified",
        ),
        labels_file=labels_file,
    )
    promise = provenance.promise()
    with contextlib.ExitStack() as stack:
        with watch("writing"):
            staging = stack.enter_context(publish.staging(target, overwrite=request.overwrite))
            _write(staging, provenance, restored, names)
            memory.give_back()
        with watch("checking"):
            figure = _check(staging, promise, provenance.handle, source)
            num_bytes = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
        with watch("publishing"):
            archive = _pack(staging, target, request)
            stack.close()
    return Outcome(
        handle=provenance.handle,
        directory=target,
        archive=archive,
        weights=provenance.weights,
        checkpoint=source.checkpoint.taken,
        moving_averages=request.moving_averages,
        signatures=tuple(
            dict.fromkeys(one.name for mode in promise.modes for one in mode.signatures)
        ),
        num_bytes=num_bytes,
        num_classes=restored.num_classes,
        parity=figure,
        stages=watch.seconds,
    )


def _pack(directory: Path, target: Path, request: ExportRequest) -> module_archive.Packed | None:
    """Writes the archive of a module, if it was asked for, or one that is there must be replaced."""
    there = os.path.lexists(module_archive.path_of(target))
    if not (request.archive or there):
        return None
    return module_archive.pack(directory, into=module_archive.path_of(directory))


class _Stopwatch:
    """Seconds by what they were spent on."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[stage] = time.monotonic() - started


def _write(
    directory: Path,
    provenance: Provenance,
    restored: networks.Restored,
    names: Sequence[str] | None,
) -> None:
    """Writes a module, and its provenance with the sums of all other files. Raises `OSError`."""
    promise = provenance.promise()
    if names is not None:
        path = directory / promise.labels
        path.parent.mkdir()
        path.write_bytes(label_file.to_bytes(names))
    try:
        writer = _WRITERS[promise.format.name]
        writer.write(
            directory,
            promise=promise,
            definitions=restored.definitions,
            weights=restored.weights,
        )
    except tf.errors.OpError as error:
        raise OSError(reasons.reason(error)) from error
    signals.exit_if_stopped()
    record = dataclasses.replace(provenance, files=files_in(directory))
    path = directory / formats.PROVENANCE
    path.parent.mkdir(exist_ok=True)
    path.write_text(record.to_json())


def _check(
    directory: Path, promise: contract.Promise, handle: str, source: sources.Source
) -> float:
    """As `_parity`, and raises `SourceError` if the checkpoint is not what it was."""
    try:
        return _parity(directory, promise, handle, source)
    finally:
        signals.exit_if_stopped()
        # If it changed, that is why a check failed; and if none did, the record is wrong.
        source.checkpoint.refuse_changed()


def _parity(
    directory: Path, promise: contract.Promise, handle: str, source: sources.Source
) -> float:
    """Raises `CheckError` unless the module on disk keeps its promise; returns its parity."""
    report, differences = _verify(directory, promise, source)
    problems = [
        f"  {result.id}: {problem}" for result in report.failed for problem in result.problems
    ]
    if not report.ok:
        raise CheckError(
            "\n".join([f"{handle} fails its checks, and was not published:", *problems])
        )
    too_large = {key: value for key, value in differences.items() if value > parity.TOLERANCE}
    if too_large:
        lines = [f"  {key}: {value:.2g}" for key, value in sorted(too_large.items())]
        raise CheckError(
            f"{handle} differs from the Slim graph by more than {parity.TOLERANCE:g} "
            "of the largest magnitude, and was not published:\n" + "\n".join(lines)
        )
    return max(differences.values())


def _verify(directory: Path, promise: contract.Promise, source: sources.Source):
    """The report of a module on disk, and its differences to the Slim graph, by output."""
    with Subject(Module(directory), promise) as subject:
        results = conformance.check_graphs(subject)
        differences: dict[str, float] = {}
        if conformance.may_run(results):
            good = all(result.status == "passed" for result in results)
            for verdict in source.networks.verify(directory, promise, compare=good):
                results += verdict.results
                differences |= verdict.differences
        return conformance.report(subject, results), differences


def _libraries() -> dict[str, str]:
    return {
        "slimhub": importlib.metadata.version("slimhub"),
        "tensorflow": tf.__version__,
        "tf-slim": importlib.metadata.version("tf-slim"),
    }
