"""`assets.extra/provenance.json`: where a module came from, and what it promises.

Equal inputs give equal bytes: no time stamps, no paths, nothing measured.
"""

import dataclasses
import json
from collections.abc import Mapping

from slimhub.signatures import contract

# How sure it is that the weights are the published ones.
STATUSES = {
    "verified": "the published checkpoint, its SHA-256 verified",
    "unverified": "UNVERIFIED: not known to be the published checkpoint",
    "synthetic": "UNTRAINED: synthetic weights, for tests and demonstrations only",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file that weights were read from: name without folder, size, SHA-256 in hexadecimal."""

    name: str
    num_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """The record of one module.

    Attributes:
      handle: `<prefix>/<model>/<task>/<version>`.
      model, task, version: which module.
      status: a key of `STATUSES`.
      checkpoint: the files that the weights were read from, the outermost first.
      parity_tolerance: largest difference to the Slim graph that it was published with,
        relative to the largest magnitude.
      libraries: versions of those that wrote it, by name.
      interface: the network's part in the contract.
    """

    handle: str
    model: str
    task: str
    version: int
    status: str
    checkpoint: tuple[SourceFile, ...]
    parity_tolerance: float
    libraries: Mapping[str, str]
    interface: contract.Interface

    def promise(self) -> contract.Promise:
        """What the module promises."""
        return contract.promise(version=self.version, task=self.task, interface=self.interface)

    @property
    def weights(self) -> str:
        """What `status` means, in words."""
        return STATUSES[self.status]

    def to_json(self) -> str:
        record = {**dataclasses.asdict(self), "weights": self.weights}
        return json.dumps(record, indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Provenance:
    """Reads a record. Raises `ValueError` saying what is wrong with it."""
    try:
        record = json.loads(text)
        if record.pop("weights") != STATUSES[record["status"]]:
            raise ValueError("`weights` does not say what `status` means")
        interface = record.pop("interface")
        files = record.pop("checkpoint")
        end_points = interface.pop("end_points")
        specs = {key: interface.pop(key) for key in ("feature_vector", "logits", "predictions")}
        provenance = Provenance(
            **record,
            checkpoint=tuple(SourceFile(**file) for file in files),
            interface=contract.Interface(
                **{key: _tuples(value) for key, value in interface.items()},
                **{key: _spec(value) for key, value in specs.items()},
                end_points={key: _spec(value) for key, value in end_points.items()},
            ),
        )
        provenance.promise()
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return provenance


def _spec(record) -> contract.TensorSpec | None:
    if record is None:
        return None
    return contract.TensorSpec(**{key: _tuples(value) for key, value in record.items()})


def _tuples(value):
    return tuple(value) if isinstance(value, list) else value
