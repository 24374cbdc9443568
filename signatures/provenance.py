"""`assets.extra/provenance.json`: where a module came from, and what it promises.

Equal inputs give equal bytes: no time stamps, no paths, nothing measured. The record holds the
SHA-256 of every other file of the module, and its own.
"""

import dataclasses
import hashlib
import json
import reprlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from slimhub.signatures import contract
from slimhub.signatures.interface import Interface

# How sure it is that the weights are the published ones.
STATUSES = {
    "verified": "the published checkpoint, its SHA-256 verified",
    "unverified": "UNVERIFIED: not known to be the published checkpoint",
    "synthetic": "UNTRAINED: synthetic weights, for tests and demonstrations only",
}

_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a float",
}

_CHUNK = 1 << 20

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
      model, task, version: which module.
      status: a key of `STATUSES`.
      checkpoint: the files that the weights were read from, the outermost first, without folders.
      files: all other files of the module, by their paths in it.
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
    checkpoint: tuple[File, ...]
    files: tuple[File, ...]
    parity_tolerance: float
    libraries: Mapping[str, str]
    interface: Interface

    def promise(self) -> contract.Promise:
        """What the module promises."""
        return contract.promise(version=self.version, task=self.task, interface=self.interface)

    @property
    def weights(self) -> str:
        """What `status` means, in words."""
        return STATUSES[self.status]

    def to_json(self) -> str:
        record = {**dataclasses.asdict(self), "weights": self.weights}
        own = hashlib.sha256(_dumps(record).encode()).hexdigest()
        return _dumps({**record, "sha256": own})


def _dumps(record: dict) -> str:
    return json.dumps(record, indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Provenance:
    """Reads a record. Raises `ValueError` saying what is wrong with it, and where."""
    try:
        record = json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    weights, own = None, None
    if isinstance(record, dict):
        weights, own = record.pop("weights", None), record.pop("sha256", None)
    provenance = _read(Provenance, record, "")
    if provenance.status not in STATUSES:
        known = ", ".join(STATUSES)
        raise ValueError(f"status: expected one of {known}, got {provenance.status!r}")
    if weights != provenance.weights:
        raise ValueError(
            f"weights: with the status {provenance.status}, expected {provenance.weights!r}, got {weights!r}"
        )
    for name, (least, most) in _BOUNDS.items():
        value = getattr(provenance.interface, name)
        if not all(least <= one <= most for one in (value if type(value) is tuple else (value,))):
            raise ValueError(
                f"interface.{name}: expected {least} to {most}, got {reprlib.repr(value)}"
            )
    provenance.promise()
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


def _read(kind, value, where: str):
    """What `json.loads` gave, as the type that a field is annotated with."""
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        [other] = set(arguments) - {types.NoneType}
        return None if value is None else _read(other, value, where)
    if dataclasses.is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        found = _json(dict, value, where)
        for what, names in (("missing", kinds.keys() - found), ("unknown", found.keys() - kinds)):
            if names:
                raise ValueError(f"{where or 'the record'}: {what}: {', '.join(sorted(names))}")
        inside = f"{where}." if where else ""
        return kind(**{name: _read(kinds[name], found[name], inside + name) for name in kinds})
    if typing.get_origin(kind) is Mapping:
        found = _json(dict, value, where)
        return {key: _read(arguments[1], found[key], f"{where}[{key!r}]") for key in found}
    if typing.get_origin(kind) is tuple:
        found = _json(list, value, where)
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(found)
        if len(found) != len(arguments):
            raise ValueError(f"{where}: expected {len(arguments)} items, got {len(found)}")
        items = zip(arguments, found, strict=True)
        return tuple(_read(item, one, f"{where}[{i}]") for i, (item, one) in enumerate(items))
    return _json(kind, value, where)


def _json(kind: type, value, where: str):
    if type(value) is not kind:
        name = _JSON_NAMES[kind]
        raise ValueError(f"{where or 'the record'}: expected {name}, got {reprlib.repr(value)}")
    return value
