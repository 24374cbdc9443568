"""Recognize the network of a checkpoint by the scopes of its variables."""

from pathlib import Path

from slimhub.export.checkpoints import diagnosis, restore
from slimhub.export.errors import RestoreError
from slimhub.models import catalog
from slimhub.models.model import Model


def model_of(path: Path) -> Model:
    """Return the one network of the catalog whose scope is an outermost scope of the checkpoint.

    Raises:
      SourceError: the checkpoint can't be read.
      RestoreError: the checkpoint has the scope of no network, or of several.
    """
    shapes = restore.Reader(path).shapes
    models = diagnosis.networks(shapes)
    if len(models) == 1:
        return models[0]
    if models:
        flags = " or ".join(f"--model={model.name}" for model in models)
        raise RestoreError(
            f"{restore.name_of(path)} could be of {len(models)} networks, by its scopes: choose {flags}.",
            checkpoint=restore.name_of(path),
        )
    likely = diagnosis.of_objects(shapes) or diagnosis.of_no_network(shapes, catalog.MODELS)
    known = ", ".join(f"{model.scope} ({model.name})" for model in catalog.MODELS)
    raise RestoreError(
        f"{restore.name_of(path)} has the scope of no network that is known here.",
        checkpoint=restore.name_of(path),
        causes=[likely, f"Known are {known}."],
    )
