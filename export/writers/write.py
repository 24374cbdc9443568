"""Write all files of a module: class names, graphs and variables, and the provenance."""

import importlib.metadata
from pathlib import Path

import tensorflow as tf

from slimhub.export import class_names
from slimhub.export.checkpoints.resolve import Checkpoint
from slimhub.export.request import ExportRequest
from slimhub.export.writers import saved_model, tf1_hub
from slimhub.export.writers.slim_graph import RestoredGraphs
from slimhub.models.model import Model
from slimhub.signatures.checks import bounds
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module import class_names as class_names_file
from slimhub.signatures.module.provenance import PUBLISHED, Provenance, files_in
from slimhub.support import signals, tf_errors

_WRITERS = {formats.TF1_HUB.name: tf1_hub, formats.TF2_SAVED_MODEL.name: saved_model}


def write_module(
    directory: Path,
    request: ExportRequest,
    model: Model,
    checkpoint: Checkpoint,
    restored: RestoredGraphs,
    promise: contract.Contract,
) -> Provenance:
    """Write a module.

    Args:
      directory: where to; empty.
      request: what was asked for.
      model: which network.
      checkpoint: what it was restored from.
      restored: its graphs and weights.
      promise: what it promises.

    Returns:
      Its provenance, with the sums of all other files.

    Raises:
      OSError: the directory can't be written.
    """
    if promise.labels is not None and request.labels is not None:
        path = directory / promise.labels
        path.parent.mkdir()
        path.write_bytes(class_names_file.to_bytes(request.labels))
    try:
        _WRITERS[promise.format.name].write(
            directory, promise=promise, definitions=restored.definitions, weights=restored.weights
        )
    except tf.errors.OpError as error:
        raise OSError(tf_errors.summarize_tf_error(error)) from error
    signals.exit_if_stopped()
    provenance = _provenance(directory, request, model, checkpoint, restored, promise)
    path = directory / formats.PROVENANCE
    path.parent.mkdir(exist_ok=True)
    path.write_text(provenance.to_json())
    return provenance


def status(request: ExportRequest, checkpoint: str) -> str:
    """Return the status of weights, by that of the checkpoint; both are keys of `provenance.STATUSES`."""
    # Under a prefix of one's own, weights claim no other origin.
    own = checkpoint in ("unverified", "pinned") and not request.prefix_is_published
    return "own" if own else checkpoint


def _provenance(
    directory: Path,
    request: ExportRequest,
    model: Model,
    checkpoint: Checkpoint,
    restored: RestoredGraphs,
    promise: contract.Contract,
) -> Provenance:
    origin = status(request, checkpoint.status)
    return Provenance(
        handle=request.handle(model, promise.task),
        model=model.name,
        task=promise.task,
        version=request.version,
        contract=request.contract_version,
        status=origin,
        url=checkpoint.url,
        checkpoint=checkpoint.files,
        moving_averages=request.moving_averages,
        converted_from=restored.converted_from,
        files=files_in(directory),
        parity_tolerance=bounds.PARITY.limit,
        libraries={
            "slimhub": importlib.metadata.version("slimhub"),
            "tensorflow": tf.__version__,
            "tf-slim": importlib.metadata.version("tf-slim"),
        },
        num_classes=promise.network.num_classes,
        labels=class_names.describe(
            model,
            num_classes=restored.definitions.num_classes,
            file=promise.labels,
            published=origin in PUBLISHED,
        ),
        labels_file=promise.labels,
    )
