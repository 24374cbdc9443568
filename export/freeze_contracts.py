"""Write the contract of every network of the catalog into a folder, to be reviewed and committed.

Usage: python -m slimhub.export.freeze_contracts FOLDER

The files describe what the builders make now. A release that changes one changes what modules
promise: so `git diff` should show new files only.
"""

import sys
from pathlib import Path

from slimhub.export.writers import slim_graph
from slimhub.models import catalog
from slimhub.models.model import Model
from slimhub.signatures.contract import contract
from slimhub.signatures.contract.network import NetworkContract

# The version whose images, and so whose end points, have one size.
_VERSION = 1


def describe(model: Model) -> NetworkContract:
    """Return the contract of a network as its builder makes it now, for images of the default size."""
    assert not contract.VERSIONS[_VERSION].any_image_size
    built = slim_graph.build(
        model,
        version=_VERSION,
        num_classes=model.num_classes,
        # What dropout acts on can be told only where it is active.
        training=True,
    )
    return slim_graph.describe(model, built)


def main(folder: Path) -> None:
    for model in catalog.MODELS:
        (folder / f"{model.name}.json").write_text(describe(model).to_json())


if __name__ == "__main__":
    [path] = sys.argv[1:]
    main(Path(path))
