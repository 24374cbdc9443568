"""Directories whose files have hostile contents."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bundle_index import rewrite_index, varint
from hostile import Hostile
from hostile_files import DATA, ESCAPE, INDEX, MODEL, PROVENANCE
from stem import sign
from tensorflow.core.protobuf import tensor_bundle_pb2


def nested() -> bytes:
    """Return a SavedModel with a thousand nested lists. protobuf reads a hundred."""
    value = b""
    for _ in range(1000):
        value = _field(51, _field(1, value))
    # SavedModel.meta_graphs.object_graph_def.concrete_functions.output_signature
    return _field(2, _field(7, _field(2, _field(1, b"f") + _field(2, _field(4, value)))))


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


# What is written in place of the SavedModel, and what is said of it.
NO_SAVED_MODELS = {
    "empty": (b"", "it has no meta graphs"),
    "random": (random.Random(1).randbytes(9999), "is no SavedModel: "),
    "nested": (nested(), "is no SavedModel: "),
}


def content(name: str, new: Callable[[Path], bytes], *, resign: bool = True):
    """Return a change that replaces a file's content, and updates the provenance if `resign`."""

    def change(directory: Path, good: Path) -> None:
        (directory / name).write_bytes(new(good))
        if resign:
            sign(directory)

    return change


def _sparse(name: str, num_bytes: int):
    def change(directory: Path, good: Path) -> None:
        os.truncate(directory / name, num_bytes)

    return change


def _provenance(text: Callable[[dict], str]):
    """Return a change that replaces the provenance by `text` of its record."""

    def new(good: Path) -> bytes:
        return text(json.loads((good / PROVENANCE).read_text())).encode()

    return content(PROVENANCE, new, resign=False)


def _record(**changes):
    """Return a change of values in the provenance."""
    return _provenance(lambda r: json.dumps({**r, **changes}))


def deep_json(record: dict) -> str:
    return '{"handle":' * 50_000 + "1" + "}" * 50_000


RECORDS = {
    "deep": (_provenance(deep_json), "nested too deeply"),
    "big": (_provenance(lambda r: '"' + "x" * 100_000_000 + '"'), "has more than 1048576 bytes"),
    "many_digits": (
        _provenance(lambda r: '{"version": ' + "9" * 10_000 + "}"),
        "is malformed: Exceeds the limit",
    ),
    "number_of_classes": (
        _record(task="classification", num_classes=10**30),
        "num_classes: expected 1 to 1000000, got 1000000000",
    ),
    "network": (_record(model="../networks/stem"), "makes no sense: model: expected one of"),
    "escape": (_record(status=ESCAPE), "status: expected one of"),
    "binary": (
        content(PROVENANCE, lambda good: b"\xff\xfe\x00", resign=False),
        "is malformed: 'utf-8' codec",
    ),
}


def _entry(**fields):
    """Return a change of the first variable's fields in the index; `shape` is a sequence of sizes."""

    def change(directory: Path, good: Path) -> None:
        def edit(entries):
            key = min(filter(None, entries))
            proto = tensor_bundle_pb2.BundleEntryProto.FromString(entries[key])
            for name, value in fields.items():
                if name == "shape":
                    del proto.shape.dim[:]
                    for size in value:
                        proto.shape.dim.add(size=size)
                else:
                    setattr(proto, name, value)
            entries[key] = proto.SerializeToString()

        rewrite_index(directory / INDEX, edit)
        sign(directory)

    return change


# Of all these, the index itself is whole. On the last one, TensorFlow ends the process.
ENTRIES = {
    "shape": (_entry(shape=[8]), "finite-variables", "Invalid size in bundle entry"),
    "huge_shape": (_entry(shape=[10**6, 10**6]), "readable", "variables/ declares 4000000499"),
    "type": (_entry(dtype=19), "variables", ": on disk float16 [64], in the"),
    "far_away": (_entry(offset=2**62), "finite-variables", "Read less bytes than requested"),
    "before_the_file": (_entry(offset=-1), "finite-variables", "the check itself failed: "),
    "negative_shape": (_entry(shape=[-5]), "readable", "was ended by SIGABRT"),
}


def cut(name: str, percent: float):
    """Return a change that keeps only the beginning of a file."""

    def new(good: Path) -> bytes:
        data = (good / name).read_bytes()
        return data[: int(len(data) * percent / 100)]

    return content(name, new)


def _flipped(good: Path) -> bytes:
    """Return the index with a bit in its middle flipped."""
    data = bytearray((good / INDEX).read_bytes())
    data[len(data) // 2] ^= 0x10
    return bytes(data)


def _contents() -> Iterator[Hostile]:
    for percent in (1, 50, 99.99):
        says = "saved_model.pb is no SavedModel: "
        yield Hostile(id=f"truncated_to_{percent}_percent", change=cut(MODEL, percent), says=says)
    for id, (data, says) in NO_SAVED_MODELS.items():
        change = content(MODEL, lambda good, data=data: data)
        yield Hostile(id=f"model_is_{id}", change=change, says=says)
    yield Hostile(
        id="huge_model",
        change=_sparse(MODEL, 1 << 40),
        says=f"{MODEL} has more than 67108864 bytes",
    )
    yield Hostile(
        id="huge_data",
        change=_sparse(DATA, 1 << 40),
        check="checksums",
        says=f"got {1 << 40} bytes",
    )
    for id, change in (("cut", cut(INDEX, 50)), ("flipped", content(INDEX, _flipped))):
        yield Hostile(id=f"index_{id}", change=change, says="variables/ is no checkpoint: ")
    says = "variables/ declares 500224 bytes, and has "
    yield Hostile(id="data_cut", change=cut(DATA, 50), says=says)
    for id, (change, says) in RECORDS.items():
        yield Hostile(id=f"record_{id}", change=change, says=says)
    for id, (change, check, says) in ENTRIES.items():
        yield Hostile(id=f"entry_{id}", change=change, check=check, says=says)


CONTENTS = tuple(_contents())
