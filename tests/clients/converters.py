"""What converted modules have in common: the pictures, and what Slim gives for them."""

import functools
from pathlib import Path

import numpy as np
import pictures
import pytest
from clients.reference import Slim

from slimhub.signatures import contract

# Version 3 says the same of both networks, and the smaller one is converted faster.
smaller_network = pytest.mark.parametrize(
    "network", [("inception_v1", "feature_vector")], indirect=True, ids="-".join
)

# Half precision has 11 significant bits: each weight moves by up to 2**-12 of itself, and the
# layers add up. Slim's own outputs move by up to 1.1e-2 if its weights are rounded so; what is
# converted rounds them after batch norm is folded into them.
HALF_TOLERANCE = 3e-2


@functools.cache
def batches() -> dict[str, np.ndarray]:
    """Several batches of several sizes: what is converted keeps all three dimensions open."""
    shapes = ((1, 224), (3, 224), (2, 160), (1, 97))
    return {f"{n} x {size}": pictures.draw(n, size=size, seed=size)[0] for n, size in shapes}


def main_output(version: int, network: tuple[str, str]) -> str:
    """The key of the only output of the signature for those who want no other."""
    _, task = network
    return contract.VERSIONS[version].format.main_output[task]


@functools.cache
def main(reference: Slim, network: tuple[str, str], version: int) -> dict[str, np.ndarray]:
    """What Slim gives as that output for each of the batches."""
    key = f"{contract.VERSIONS[version].format.main}:{main_output(version, network)}"
    outputs = reference.outputs(version, batches())
    return {name: outputs[f"{name} {key}"] for name in batches()}


def weights_size(path: Path) -> int:
    """Bytes of all variables of a module."""
    return (path / "variables" / "variables.data-00000-of-00001").stat().st_size
