"""Verify the published checkpoint of a model: export it in every version, and run the modules on photographs."""

import dataclasses
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.export import pipeline
from slimhub.export.checkpoints import download
from slimhub.export.errors import CheckError, UsageError
from slimhub.export.request import ExportRequest
from slimhub.export.verification.processes import ForkedProcess
from slimhub.models.model import Model
from slimhub.signatures.checks import bounds
from slimhub.signatures.contract import contract
from slimhub.signatures.module.directory import Directory
from slimhub.signatures.module.provenance import Provenance

# The fraction that TF-Slim's evaluation crops.
_CENTRAL_FRACTION = 0.875


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verified:
    """A model whose modules passed all checks.

    Attributes:
      record: provenance of the last module.
      parity: largest difference of a module to the Slim graph, relative to the largest magnitude.
      difference: largest difference between the logits of two versions, relative to the largest magnitude.
      logits: logits of the photographs, float32 `[photographs, classes]`.
    """

    record: Provenance
    parity: float
    difference: float
    logits: np.ndarray


def verify(
    model: Model,
    executor: ForkedProcess,
    *,
    photographs: Sequence[Path],
    server: str | None,
    output: Path,
) -> Verified:
    """Export a model for all tasks and versions, and classify photographs with each version.

    Args:
      model: the network.
      executor: a process for `pipeline.export`.
      photographs: image files.
      server: URL below which the archive is; None for the official URLs.
      output: root directory of the modules.

    Raises:
      ExportError: there is no archive, a module is wrong, or the versions differ.
      OSError: there is no temporary directory.
    """
    checkpoint = None if server is None else str(_fetch(model, server, output / "archives"))
    images = np.stack([_read(path, model.image_size) for path in photographs])
    parities, logits = [], []
    for version in contract.VERSIONS:
        request = ExportRequest(
            version=version,
            models=(model.name,),
            checkpoint=checkpoint,
            output=output,
            overwrite=True,
        )
        for outcome in pipeline.export(request, executor=executor):
            if outcome.error is not None:
                raise outcome.error
            parities.append(outcome.parity)
        directory = output / request.handle(model, "classification")
        logits.append(classify(directory, images))
    if logits[0].shape[1] != model.num_classes:
        raise CheckError(f"Expected {model.num_classes} classes, got {logits[0].shape[1]}.")
    difference = max(bounds.difference(of_version, logits[0]) for of_version in logits)
    measured = bounds.SUM_ORDER.measure("logits of photographs, between versions", difference)
    if not measured.ok:
        raise CheckError(str(measured))
    record = Directory(directory).provenance
    return Verified(record=record, parity=max(parities), difference=difference, logits=logits[0])


def classify(directory: Path, images: np.ndarray) -> np.ndarray:
    """Return the logits of a classification module, `[images, classes]`."""
    layer = hub.KerasLayer(str(directory))
    # One by one: a batch of many takes much memory in the largest networks.
    return np.concatenate([layer(image[np.newaxis]).numpy() for image in images])


def _read(photograph: Path, size: tuple[int, int]) -> np.ndarray:
    """Return a photograph's central square, float32 `[height, width, 3]` in [0, 1]. Raise `UsageError`."""
    try:
        image = tf.io.decode_image(photograph.read_bytes(), channels=3, expand_animations=False)
    except (OSError, tf.errors.OpError) as error:
        raise UsageError(f"--images: {photograph} can't be read as a photograph.") from error
    side = max(1, int(_CENTRAL_FRACTION * min(image.shape[:2])))
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    return tf.image.resize(tf.image.convert_image_dtype(square, tf.float32), size).numpy()


def _fetch(model: Model, server: str, cache: Path) -> Path:
    """Fetch the server's archive, whatever SHA-256 it has. Raise `DownloadError`."""
    archive = dataclasses.replace(
        model.archive,
        urls=(f"{server.rstrip('/')}/{model.archive.name}",),
        num_bytes=None,
        sha256=None,
    )
    return download.fetch(archive, cache=cache / urllib.parse.quote(server, safe=""))
