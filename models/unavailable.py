"""Families of networks that Google published modules of, and that no checkpoint of TF-Slim's package gives."""

import fnmatch

# By the pattern (`fnmatch`) of their names in handles: what they are called, and the network of the
# catalog that comes nearest. tf_slim 1.1.0 has none of them in `tf_slim.nets`.
FAMILIES = {
    "inception_resnet_v2": ("Inception ResNet V2", "inception_v3"),
    "mobilenet_v*": ("MobileNet", "inception_v1"),
    "nasnet_*": ("NASNet", "inception_v3"),
    "pnasnet_*": ("PNASNet", "inception_v3"),
}


def find(name: str) -> tuple[str, str] | None:
    """Return the family of a network and the name of the nearest one; None if it is in no such family."""
    for pattern, found in FAMILIES.items():
        if fnmatch.fnmatchcase(name, pattern):
            return found
    return None
