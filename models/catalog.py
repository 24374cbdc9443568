"""The catalog of all networks. It doesn't import TensorFlow, so it is cheap to import.

To add a network, add a record to the file of its family; no other file names a network.
"""

from slimhub.models import inception, resnet_v1, resnet_v2, vgg
from slimhub.models.model import Model

MODELS = (*inception.MODELS, *resnet_v1.MODELS, *resnet_v2.MODELS, *vgg.MODELS)


def names() -> tuple[str, ...]:
    """Return the names of all models, in the catalog's order."""
    return tuple(model.name for model in MODELS)


def get(name: str) -> Model:
    """Return the model of that name. Raise `KeyError` if the catalog has none."""
    return {model.name: model for model in MODELS}[name]
