"""Directories that are hostile in what their files hold."""

import json
import os
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bundle_index import rewrite_index
from google.protobuf import text_format
from hostile import Hostile
from hostile_files import DATA, ESCAPE, INDEX, MODEL, PROVENANCE
from stem import sign, signed
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2, struct_pb2, tensor_bundle_pb2

from slimhub.signatures import hub_protos


def model(good: Path) -> saved_model_pb2.SavedModel:
    return saved_model_pb2.SavedModel.FromString((good / MODEL).read_bytes())


def nested(good: Path) -> bytes:
    """Lists in lists, a thousand of them: protobuf reads a hundred."""
    inner = b""
    for _ in range(1000):
        inner = _field(51, _field(1, inner))
    value = inner
    # SavedModel.meta_graphs.object_graph_def.concrete_functions.output_signature
    return _field(2, _field(7, _field(2, _field(1, b"f") + _field(2, _field(4, value)))))


def _field(number: int, content: bytes) -> bytes:
    encoded = bytearray()
    for value in (number << 3 | 2, len(content)):
        while value >= 0x80:
            encoded.append(value & 0x7F | 0x80)
            value >>= 7
        encoded.append(value)
    return bytes(encoded) + content


# What is written in place of the SavedModel, and what is said of it.
NO_SAVED_MODELS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda good: b"", "it has no meta graphs"),
    "random": (lambda good: random.Random(1).randbytes(9999), "is no SavedModel: "),
    "zeros": (lambda good: bytes(9999), "is no SavedModel: "),
    "json": (lambda good: b'{"meta_graphs": []}', "is no SavedModel: "),
    "pickle": (lambda good: pickle.dumps(print), "is no SavedModel: "),
    "text": (lambda good: text_format.MessageToBytes(model(good)), "is no SavedModel: "),
    "meta_graph": (
        lambda good: model(good).meta_graphs[0].SerializeToString(),
        "is no SavedModel: ",
    ),
    "module_def": (
        lambda good: hub_protos.ModuleDef(format=hub_protos.FORMAT_V3).SerializeToString(),
        "it has no meta graphs",
    ),
    "structured_value": (
        lambda good: struct_pb2.StructuredValue(string_value="x").SerializeToString(),
        "it has no meta graphs",
    ),
    "nested": (nested, "is no SavedModel: "),
    "in_itself": (lambda good: _field(2, (good / MODEL).read_bytes()), "is no SavedModel: "),
    "graph": (
        lambda good: graph_pb2.GraphDef(
            node=model(good).meta_graphs[0].graph_def.node, versions={"producer": 1}
        ).SerializeToString(),
        "is no SavedModel: ",
    ),
    "bit_flipped": (
        lambda good: (good / MODEL).read_bytes()[:1] + b"\xff" + (good / MODEL).read_bytes()[2:],
        "is no SavedModel: ",
    ),
}


def content(name: str, new: Callable[[Path], bytes], *, resign: bool = True):
    """Another content of a file; the provenance is made to fit, unless it is that itself."""

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
    """Another text instead of the record that `text` gets."""

    def new(good: Path) -> bytes:
        return text(json.loads((good / PROVENANCE).read_text())).encode()

    return content(PROVENANCE, new, resign=False)


def _interface(**changes):
    """A record whose own sum fits."""
    return _provenance(lambda r: signed({**r, "interface": {**r["interface"], **changes}}))


def deep_json(record: dict) -> str:
    return '{"handle":' * 50_000 + "1" + "}" * 50_000


RECORDS = {
    "deep": (_provenance(deep_json), "nested too deeply"),
    "big": (_provenance(lambda r: '"' + "x" * 100_000_000 + '"'), "has more than 1048576 bytes"),
    "many_digits": (
        _provenance(lambda r: '{"version": ' + "9" * 10_000 + "}"),
        "is malformed: Exceeds the limit",
    ),
    "nan": (_provenance(lambda r: signed({**r, "parity_tolerance": float("nan")})), "NaN is no"),
    "infinite": (_interface(weight_decay=float("inf")), "Infinity is no number"),
    "duplicate_key": (
        _provenance(lambda r: '{"version": 1,' + signed(r)[1:]),
        "it was changed after it was written",
    ),
    "number_of_variables": (
        _interface(num_variables=10**30),
        "interface.num_variables: expected 0 to 1000000, got 1000000000",
    ),
    "images": (
        _interface(image_size=[10**9, 10**9]),
        "interface.image_size: expected 1 to 1024, got (1000000000, 1000000000)",
    ),
    "no_images": (_interface(image_size=[0, -1]), "interface.image_size: expected 1 to 1024"),
    "surrogate": (_provenance(lambda r: signed({**r, "status": "\ud800"})), "status: expected"),
    "escape": (_provenance(lambda r: signed({**r, "status": ESCAPE})), "status: expected one of"),
    "binary": (
        content(PROVENANCE, lambda good: b"\xff\xfe\x00", resign=False),
        "is malformed: 'utf-8' codec",
    ),
}


def _entry(**fields):
    """The first variable, as the index has it, with other fields; as many sizes as it is given."""

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


# Of all these, the index itself is whole. On the last ones, TensorFlow ends the process.
ENTRIES = {
    "shape": (_entry(shape=[8]), "finite-variables", "Invalid size in bundle entry"),
    "huge_shape": (_entry(shape=[10**6, 10**6]), "readable", "variables/ declares 4000000499"),
    "type": (_entry(dtype=19), "variables", ": on disk float16 [64], in the"),
    "other_shard": (_entry(shard_id=7), "finite-variables", "variables.data-00007-of-00001"),
    "far_away": (_entry(offset=2**62), "finite-variables", "Read less bytes than requested"),
    "before_the_file": (_entry(offset=-1), "finite-variables", "the check itself failed: "),
    "negative_shape": (_entry(shape=[-5]), "readable", "was ended by SIGABRT"),
    "overflowing_shape": (_entry(shape=[2**40, 2**40]), "readable", "was ended by SIGABRT"),
    "many_dimensions": (_entry(shape=[1] * 300), "readable", "was ended by SIGABRT"),
}


def cut(name: str, percent: float):
    return content(name, lambda good: _begin((good / name).read_bytes(), percent))


def flipped(name: str, percent: float):
    """With another bit at that place."""

    def new(good: Path) -> bytes:
        data = (good / name).read_bytes()
        begin = _begin(data, percent)
        return begin + bytes([data[len(begin)] ^ 0x10]) + data[len(begin) + 1 :]

    return content(name, new)


def _begin(data: bytes, percent: float) -> bytes:
    return data[: int(len(data) * percent / 100)]


def _contents() -> Iterator[Hostile]:
    for version in (3, 5):
        for percent in (0.01, 1, 5, 20, 33, 50, 75, 90, 99, 99.99):
            yield Hostile(
                id=f"truncated_to_{percent}_percent",
                version=version,
                change=cut(MODEL, percent),
                says="saved_model.pb is no SavedModel: ",
            )
    for id, (new, says) in NO_SAVED_MODELS.items():
        yield Hostile(id=f"model_is_{id}", change=content(MODEL, new), says=says)
    for id, num_bytes in (("2_gib", 2 << 30), ("1_tib", 1 << 40)):
        says = f"{MODEL} has more than 67108864 bytes"
        yield Hostile(id=f"model_of_{id}", change=_sparse(MODEL, num_bytes), says=says)
        yield Hostile(
            id=f"data_of_{id}",
            change=_sparse(DATA, num_bytes),
            check="checksums",
            says=f"got {num_bytes} bytes",
        )
    for percent in (1, 50, 99):
        says = "variables/ is no checkpoint: "
        yield Hostile(id=f"index_cut_to_{percent}", change=cut(INDEX, percent), says=says)
        yield Hostile(id=f"index_flipped_at_{percent}", change=flipped(INDEX, percent), says=says)
    for percent in (0, 50, 99):
        yield Hostile(
            id=f"data_cut_to_{percent}",
            change=cut(DATA, percent),
            says="variables/ declares 500224 bytes, and has ",
        )
    for id, (change, says) in RECORDS.items():
        yield Hostile(id=f"record_{id}", change=change, says=says)
    for id, (change, check, says) in ENTRIES.items():
        yield Hostile(id=f"entry_{id}", change=change, check=check, says=says)


CONTENTS = tuple(_contents())
