"""`assets.extra/provenance.json`: where a module came from, and what it promises.

Equal inputs give equal bytes: no time stamps, no paths, nothing measured. End points are in the
network's order. The record holds the SHA-256 of every other file of the module, and its own.
"""

import dataclasses
import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path

from slimhub.signatures import contract, records
from slimhub.signatures.interface import Interface

# How sure it is that the weights are the published ones.
STATUSES = {
    "verified": "the published checkpoint, its SHA-256 verified",
    "pinned": "PINNED: the file that its exporter named by its SHA-256, not known to be the "
    "published checkpoint",
    "unverified": "UNVERIFIED: not known to be the published checkpoint",
    "synthetic": "UNTRAINED: synthetic weights, for tests and demonstrations only",
}

_CHUNK = 1 << 20
# Of the versions in a series of one's own.
MOST_VERSIONS = 999_999

# The least and the most that is plausible: whoever checks a module makes images of these sizes.
_BOUNDS = {
    "image_size": (1, 1024),
    "min_image_size": (1, 1024),
    "num_batch_norms": (0, 10**6),
    "num_regularization_losses": (0, 10**6),
    "num_variables": (0, 10**6),
    "num_trainable_variables": (0, 10**6),
    "num_parameters": (0, 10**12),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """A file, as it was: its name or relative path, its size, its SHA-256 in hexadecimal."""

    name: str
    num_bytes: int
    sha256: str

    @classmethod
    def read(cls, path: Path, *, name: str | None = None) -> "File":
        """What is there now; the name without its folder, unless another is given. Raises `OSError`."""
        return cls(name=name or path.name, num_bytes=path.stat().st_size, sha256=sha256(path))


def files_in(directory: Path) -> tuple[File, ...]:
    """All files there and below, sorted by their paths. Raises `OSError`."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return tuple(File.read(path, name=path.relative_to(directory).as_posix()) for path in paths)


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """The record of one module.

    Attributes:
      handle: `<prefix>/<model>/<task>/<version>`.
      model, task, version: which module; the version is the handle's.
      contract: version of the contract that it keeps, its own or, in a series of one's own, another.
      status: a key of `STATUSES`.
      checkpoint: the files that the weights were read from, the outermost first, without folders.
      moving_averages: whether the weights are the moving averages that the training kept of them.
      files: all other files of the module, by their paths in it.
      parity_tolerance: largest difference to the Slim graph that it was published with,
        relative to the largest magnitude.
      libraries: versions of those that wrote it, by name.
      interface: the network's part in the contract.
      labels: which class is which, in words; None if nobody knows, or there are none.
      labels_file: path of the file in the module that names the classes, if there is one.
    """

    handle: str
    model: str
    task: str
    version: int
    contract: int
    status: str
    checkpoint: tuple[File, ...]
    moving_averages: bool
    files: tuple[File, ...]
    parity_tolerance: float
    libraries: Mapping[str, str]
    interface: Interface
    labels: str | None
    labels_file: str | None

    def promise(self) -> contract.Promise:
        """What the module promises."""
        return contract.promise(
            version=self.contract,
            task=self.task,
            interface=self.interface,
            labels=self.labels_file is not None,
        )

    @property
    def weights(self) -> str:
        """What `status` means, in words."""
        return STATUSES[self.status]

    def to_json(self) -> str:
        record = {**dataclasses.asdict(self), "weights": self.weights}
        own = hashlib.sha256(_dumps(record).encode()).hexdigest()
        return _dumps({**record, "sha256": own})


def _dumps(record: dict) -> str:
    return json.dumps(record, indent=2) + "\n"


def from_json(text: str) -> Provenance:
    """Reads a record. Raises `ValueError` saying what is wrong with it, and where."""
    try:
        record = json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    weights, own = None, None
    if isinstance(record, dict):
        weights, own = record.pop("weights", None), record.pop("sha256", None)
    provenance = records.read(Provenance, record)
    if provenance.status not in STATUSES:
        known = ", ".join(STATUSES)
        raise ValueError(f"status: expected one of {known}, got {provenance.status!r}")
    if weights != provenance.weights:
        raise ValueError(
            f"weights: with the status {provenance.status}, expected {provenance.weights!r}, got {weights!r}"
        )
    if not 1 <= provenance.version <= MOST_VERSIONS:
        raise ValueError(
            f"version: expected 1 to {MOST_VERSIONS}, got {reprlib.repr(provenance.version)}"
        )
    if provenance.contract not in contract.VERSIONS:
        known = ", ".join(map(str, contract.VERSIONS))
        raise ValueError(f"contract: expected one of {known}, got {provenance.contract!r}")
    for name, (least, most) in _BOUNDS.items():
        value = getattr(provenance.interface, name)
        if not all(least <= one <= most for one in (value if type(value) is tuple else (value,))):
            raise ValueError(
                f"interface.{name}: expected {least} to {most}, got {reprlib.repr(value)}"
            )
    interface = provenance.interface
    if (interface.batch_norm_decay is None) != (interface.num_batch_norms == 0):
        raise ValueError(
            f"interface.batch_norm_decay: expected one with batch norms only, got "
            f"{interface.batch_norm_decay} with {interface.num_batch_norms}"
        )
    if len(interface.input_offsets) not in (1, 3):
        raise ValueError(
            f"interface.input_offsets: expected 1 or 3, got {len(interface.input_offsets)}"
        )
    for key in provenance.interface.end_points:
        # They stand in programs, and in pages.
        if not re.fullmatch(r"[A-Za-z0-9_./-]+", key):
            raise ValueError(
                f"interface.end_points: expected names like Scope/Layer, got {reprlib.repr(key)}"
            )
    for name in ("feature_vector", "logits", "predictions"):
        found = getattr(provenance.interface, name)
        if found is not None and len(found.shape) != 2:
            raise ValueError(f"interface.{name}: expected two dimensions, got {found.type}")
    promise = provenance.promise()
    if provenance.labels_file != promise.labels:
        raise ValueError(
            f"labels_file: expected {promise.labels!r}, got {reprlib.repr(provenance.labels_file)}"
        )
    written = provenance.to_json()
    if text != written:
        expected = json.loads(written)["sha256"]
        raise ValueError(
            "it was changed after it was written"
            + (f": expected the sha256 {expected}, got {own!r}" if own != expected else "")
        )
    return provenance


def _refused(constant: str):
    raise ValueError(f"{constant} is no number")
