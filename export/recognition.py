"""Of which network a checkpoint is."""

from pathlib import Path

from slimhub.export import causes, restore
from slimhub.export.errors import RestoreError
from slimhub.models import catalog
from slimhub.models.catalog import Model


def model_of(path: Path) -> Model:
    """The one network of the catalog whose scope is among the outermost of a checkpoint's.

    Raises:
      SourceError: the checkpoint can't be read.
      RestoreError: it has the scopes of none, or of several.
    """
    shapes = restore.Reader(path).shapes
    found = causes.networks(shapes)
    if len(found) == 1:
        return found[0]
    if found:
        flags = " or ".join(f"--model={model.name}" for model in found)
        raise RestoreError(
            f"{path.name} could be of {len(found)} networks, by its scopes: choose {flags}."
        )
    likely = causes.of_objects(shapes) or causes.of_no_network(shapes, catalog.MODELS)
    known = ", ".join(f"{model.scope} ({model.name})" for model in catalog.MODELS)
    raise RestoreError(
        f"{path.name} has the scope of no network that is known here.\n{likely}\nKnown are {known}."
    )
