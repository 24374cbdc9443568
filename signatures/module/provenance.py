"""The provenance, `assets.extra/provenance.json`: the origin of a module, and what it claims to be.

Equal inputs give equal bytes: the record has no times, paths or measurements. It has the SHA-256 of
every other file of the module.
"""

import dataclasses
import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path

from slimhub.signatures.contract import contract, network, versions
from slimhub.signatures.contract.contract import Contract
from slimhub.signatures.contract.network import NetworkContract
from slimhub.support import records

# How certain it is that the weights are the published ones. Texts with a colon are warnings.
STATUSES = {
    "verified": "the published checkpoint, its SHA-256 verified",
    "downloaded": "downloaded from the official URL {url}; nobody published its SHA-256",
    "pinned": "PINNED: the file that its exporter named by its SHA-256, not known to be the "
    "published checkpoint",
    "unverified": "UNVERIFIED: not known to be the published checkpoint",
    "own": "its exporter's own weights",
    "synthetic": "UNTRAINED: synthetic weights, for tests and demonstrations only",
}
# Statuses of published weights.
PUBLISHED = ("verified", "downloaded")

# Dtypes whose values float32 represents exactly: such weights are exported as float32.
CONVERTIBLE = ("bfloat16", "float16")

_CHUNK = 1 << 20
# Most classes; a head of more would not fit into memory.
_MOST_CLASSES = 10**6
# Largest version in a publisher's own series.
MOST_VERSIONS = 999_999


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """A file's name or relative path, its size, and its SHA-256 (hex), at the time of reading."""

    name: str
    num_bytes: int
    sha256: str

    @classmethod
    def read(cls, path: Path, *, name: str | None = None) -> "File":
        """Read a file; `name` replaces the last part of its path. Raise `OSError`."""
        return cls(name=name or path.name, num_bytes=path.stat().st_size, sha256=sha256(path))


def files_in(directory: Path) -> tuple[File, ...]:
    """Return all files in a directory at any depth, sorted by their paths. Raise `OSError`."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return tuple(File.read(path, name=path.relative_to(directory).as_posix()) for path in paths)


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content. Raise `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """The provenance of one module.

    Attributes:
      handle: `<prefix>/<model>/<task>/<version>`.
      model, task, version: the other parts of the handle.
      contract: version of the contract. It differs from `version` only in a publisher's own series.
      status: a key of `STATUSES`.
      url: URL of the archive if the status is `downloaded`; None otherwise.
      checkpoint: the files that the weights were read from, without folders, an archive before its member.
      moving_averages: whether the weights are the moving averages of the training's weights.
      converted_from: dtypes in `CONVERTIBLE` that weights have in the checkpoint, sorted; empty if all
        weights are float32.
      files: all other files of the module, by relative path.
      parity_tolerance: largest difference to the Slim graph that publishing allowed, relative to the
        largest magnitude.
      libraries: versions of the libraries that wrote the module, by name.
      num_classes: number of classes; None without a classification layer.
      labels: sentence that says which class is which; None if that is unknown, or there are no classes.
      labels_file: path of the class names' file in the module; None if there is none.
    """

    handle: str
    model: str
    task: str
    version: int
    contract: int
    status: str
    url: str | None
    checkpoint: tuple[File, ...]
    moving_averages: bool
    converted_from: tuple[str, ...]
    files: tuple[File, ...]
    parity_tolerance: float
    libraries: Mapping[str, str]
    num_classes: int | None
    labels: str | None
    labels_file: str | None

    def promise(self, *, frozen: NetworkContract | None = None) -> Contract:
        """Return the contract of the module that this one claims to be.

        Args:
          frozen: the contract of its network; None looks it up by the network's name.

        Raises:
          ValueError: the network is none of those that have a contract, or has no classification layer.
        """
        if frozen is None:
            known = network.names()
            _expect("model", self.model, self.model in known, f"one of {', '.join(known)}")
            frozen = network.get(self.model)
        return contract.promise(
            version=self.contract,
            prefix=self.prefix,
            task=self.task,
            network=frozen,
            num_classes=self.num_classes,
            labels=self.labels_file is not None,
        )

    @property
    def prefix(self) -> str:
        """Return the handle without model, task and version."""
        return self.handle.removesuffix(f"/{self.model}/{self.task}/{self.version}")

    @property
    def weights(self) -> str:
        """Return the meaning of `status`, in words."""
        return STATUSES[self.status].format(url=self.url)

    def to_json(self) -> str:
        """Return the text of the provenance file, with the meaning of the status in words."""
        return json.dumps({**dataclasses.asdict(self), "weights": self.weights}, indent=2) + "\n"


def from_json(text: str) -> Provenance:
    """Parse the text of a provenance file. Raise `ValueError`, which says what is wrong and where."""
    try:
        record = json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    weights = None
    if isinstance(record, dict):
        weights = record.pop("weights", None)
        _read_old(record)
    provenance = records.read(Provenance, record)
    _check(provenance)
    _expect("weights", weights, weights == provenance.weights, repr(provenance.weights))
    return provenance


def _check(record: Provenance) -> None:
    """Raise `ValueError` if a value is not one that an export writes."""
    _expect("status", record.status, record.status in STATUSES, f"one of {', '.join(STATUSES)}")
    if record.status == "downloaded":
        is_url = re.fullmatch("https://[!-~]{1,2000}", record.url or "")
        _expect("url", record.url, is_url, "one of https, with the status downloaded")
    else:
        _expect("url", record.url, record.url is None, f"none, with the status {record.status}")
    _expect(
        "converted_from",
        record.converted_from,
        record.converted_from in ((), *((dtype,) for dtype in CONVERTIBLE), CONVERTIBLE),
        f"some of {', '.join(CONVERTIBLE)}, sorted",
    )
    is_version = 1 <= record.version <= MOST_VERSIONS
    _expect("version", record.version, is_version, f"1 to {MOST_VERSIONS}")
    known = versions.below(record.prefix)
    numbers = ", ".join(map(str, known))
    _expect("contract", record.contract, record.contract in known, f"one of {numbers}")
    _expect("task", record.task, record.task in contract.TASKS, f"one of {contract.TASKS}")
    classifies = record.task == "classification"
    are_plausible = 1 <= record.num_classes <= _MOST_CLASSES if record.num_classes else False
    _expect(
        "num_classes",
        record.num_classes,
        are_plausible if classifies else record.num_classes is None,
        f"1 to {_MOST_CLASSES}" if classifies else "none, with feature vectors",
    )
    names = known[record.contract].format.labels if classifies else None
    _expect("labels_file", record.labels_file, record.labels_file in (None, names), repr(names))


def _read_old(record: dict) -> None:
    """Convert the records of earlier releases, which described the network, and had a sum of themselves."""
    record.pop("sha256", None)
    described = record.pop("interface", None)
    if isinstance(described, dict) and "num_classes" not in record:
        logits = described.get("logits")
        shape = logits.get("shape") if isinstance(logits, dict) else None
        record["num_classes"] = shape[-1] if isinstance(shape, list) and shape else None


def _expect(where: str, found, is_right, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{where}: expected {expected}, got {reprlib.repr(found)}")


def _refused(constant: str):
    raise ValueError(f"{constant} is no number")
