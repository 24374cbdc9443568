"""The story of an export: resolve, restore, write, check, publish.

Nothing is published that has not been reloaded from disk and checked. Modules are exported
one after the other; one that fails does not stop the others.
"""

import contextlib
import dataclasses
import importlib.metadata
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from slimhub.export import (
    checkpoint,
    parity,
    publish,
    reasons,
    restore,
    saved_model,
    scratch,
    slim_graph,
    tf1_hub,
)
from slimhub.export.errors import CheckError, ExportError, OutputError
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import conformance, formats, signals
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
      weights: where they are from, in words.
      signatures: their names.
      num_bytes: of all its files.
      num_classes: of its logits, if it has any.
      parity: largest difference to the Slim graph, relative to the largest magnitude.
      seconds: that the export took, without bringing the checkpoint.
    """

    handle: str
    error: ExportError | None = None
    directory: Path | None = None
    weights: str = ""
    signatures: tuple[str, ...] = ()
    num_bytes: int = 0
    num_classes: int | None = None
    parity: float = 0.0
    seconds: float = 0.0


def export(request: ExportRequest) -> Iterator[Outcome]:
    """Exports every module of a request, and yields how each one went."""
    for name in request.models:
        model = catalog.get(name)
        with contextlib.ExitStack() as stack:
            source = None
            for task in request.tasks:
                handle = request.handle(name, task)
                target = request.output / handle
                try:
                    publish.clear_up(target)
                    publish.refuse_unpublishable(target, overwrite=request.overwrite)
                    # Not before a module wants it, and once a model: it may be a download.
                    source = source or _resolve(request, model, stack)
                    if isinstance(source, ExportError):
                        raise source
                    yield _export_module(request, model, task, target, source)
                except ExportError as error:
                    yield Outcome(handle=handle, error=error)


def _resolve(request: ExportRequest, model: catalog.Model, stack: contextlib.ExitStack):
    """The checkpoint, or the error that every task of the model then shares."""
    try:
        workdir = stack.enter_context(scratch.temporary())
        return checkpoint.resolve(request.checkpoint, model=model, workdir=workdir)
    except ExportError as error:
        return error
    except OSError as error:
        return OutputError(f"There is no temporary directory (TMPDIR chooses one): {error}")


def _export_module(request, model, task, target, source: checkpoint.Checkpoint) -> Outcome:
    started = time.monotonic()
    reader = restore.Reader(source.path)
    classes = restore.num_classes(reader, model=model) if task == "classification" else None
    graphs = {
        training: slim_graph.build(
            model, version=request.version, num_classes=classes, training=training
        )
        for training in (False, True)
    }
    network = graphs[False].network
    shapes = {variable.op.name: tuple(variable.shape) for variable in network.variables}
    weights = restore.restore(reader, model=model, shapes=shapes, allow_unused=request.allow_unused)
    provenance = Provenance(
        handle=request.handle(model.name, task),
        model=model.name,
        task=task,
        version=request.version,
        status=source.status,
        checkpoint=source.files,
        files=(),
        parity_tolerance=parity.TOLERANCE,
        libraries=_libraries(),
        interface=slim_graph.interface(model, network),
    )
    promise = provenance.promise()
    with publish.staging(target, overwrite=request.overwrite) as staging:
        _write(staging, provenance, graphs=graphs, weights=weights)
        with contextlib.closing(Subject(Module(staging), promise)) as subject:
            figure = _check(subject, provenance.handle, graphs, source)
        num_bytes = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    return Outcome(
        handle=provenance.handle,
        directory=target,
        weights=provenance.weights,
        signatures=tuple(
            dict.fromkeys(one.name for mode in promise.modes for one in mode.signatures)
        ),
        num_bytes=num_bytes,
        num_classes=classes,
        parity=figure,
        seconds=time.monotonic() - started,
    )


def _write(directory: Path, provenance: Provenance, *, graphs, weights) -> None:
    """Writes a module, and its provenance with the sums of all other files. Raises `OSError`."""
    promise = provenance.promise()
    try:
        writer = _WRITERS[promise.format.name]
        writer.write(directory, promise=promise, graphs=graphs, weights=weights)
    except tf.errors.OpError as error:
        raise OSError(reasons.reason(error)) from error
    signals.exit_if_stopped()
    record = dataclasses.replace(provenance, files=files_in(directory))
    path = directory / formats.PROVENANCE
    path.parent.mkdir()
    path.write_text(record.to_json())


def _check(subject: Subject, handle: str, graphs, source: checkpoint.Checkpoint) -> float:
    """As `_parity`, and raises `SourceError` if the checkpoint is not what it was."""
    try:
        return _parity(subject, handle, graphs, source)
    finally:
        signals.exit_if_stopped()
        # If it changed, that is why a check failed; and if none did, the record is wrong.
        source.refuse_changed()


def _parity(subject: Subject, handle: str, graphs, source: checkpoint.Checkpoint) -> float:
    """Raises `CheckError` unless the module on disk keeps its promise; returns its parity."""
    report = conformance.check_subject(subject)
    problems = [
        f"  {result.id}: {problem}" for result in report.failed for problem in result.problems
    ]
    if not report.ok:
        raise CheckError(
            "\n".join([f"{handle} fails its checks, and was not published:", *problems])
        )
    differences = parity.compare(subject, graphs=graphs, checkpoint=source.path)
    too_large = {key: value for key, value in differences.items() if value > parity.TOLERANCE}
    if too_large:
        lines = [f"  {key}: {value:.2g}" for key, value in sorted(too_large.items())]
        raise CheckError(
            f"{handle} differs from the Slim graph by more than {parity.TOLERANCE:g} "
            "of the largest magnitude, and was not published:\n" + "\n".join(lines)
        )
    return max(differences.values())


def _libraries() -> dict[str, str]:
    return {
        "slimhub": importlib.metadata.version("slimhub"),
        "tensorflow": tf.__version__,
        "tf-slim": importlib.metadata.version("tf-slim"),
    }
