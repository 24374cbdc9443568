"""`assets.extra/provenance.json`: where a module came from, and what it promises.

Equal inputs give equal bytes: no time stamps, no paths, nothing measured.
"""

import dataclasses
import json
import reprlib
import types
import typing
from collections.abc import Mapping

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
        return json.dumps(record, indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Provenance:
    """Reads a record. Raises `ValueError` saying what is wrong with it, and where."""
    try:
        record = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    weights = record.pop("weights", None) if isinstance(record, dict) else None
    provenance = _read(Provenance, record, "")
    if provenance.status not in STATUSES:
        known = ", ".join(STATUSES)
        raise ValueError(f"status: expected one of {known}, got {provenance.status!r}")
    if weights != provenance.weights:
        raise ValueError(
            f"weights: with the status {provenance.status}, expected {provenance.weights!r}, got {weights!r}"
        )
    provenance.promise()
    return provenance


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
