"""Modules that Google published, and whose weights can't be had."""

import fnmatch

from slimhub.models.model import Model

# By the pattern (`fnmatch`) of their names in handles: what they are called, and the network of the
# catalog that comes nearest. tf_slim 1.1.0 has none of them in `tf_slim.nets`.
FAMILIES = {
    "inception_resnet_v2": ("Inception ResNet V2", "inception_v3"),
    "mobilenet_v*": ("MobileNet", "inception_v1"),
    "nasnet_*": ("NASNet", "inception_v3"),
    "pnasnet_*": ("PNASNet", "inception_v3"),
}


def unknown(family: str) -> str:
    """Return why no module of a family can be exported."""
    return f"TF-Slim's package has no {family}."


def of_others(model: Model) -> str:
    """Return why the publisher's modules of a network can't be exported, where it has others' weights."""
    return (
        f"Google made no module from TF-Slim's checkpoint of {model.title}, and published no other weights "
        "that TF-Slim's package can restore."
    )


def find(name: str) -> tuple[str, str] | None:
    """Return the family of a network and the name of the nearest one; None if it is in no such family."""
    for pattern, found in FAMILIES.items():
        if fnmatch.fnmatchcase(name, pattern):
            return found
    return None
