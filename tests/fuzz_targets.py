"""What must hold for any input of what reads from strangers; each raises what does not.

An input is bytes, as they are kept in `findings/<target>/`.
"""

import json
import posixpath
import shutil
import tarfile
import tempfile
import time
from pathlib import Path

import mutations
from bad_archives import MEMBER
from publishing import read
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import checkpoint_archive
from slimhub.export.errors import ArchiveError
from slimhub.signatures import archived, conformance, graph_checks, provenance
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.module import Module
from slimhub.signatures.subject import Subject

MOST_BYTES = 1 << 16
# The checks of a small module take a tenth of a second.
MOST_SECONDS = 10
# Reads the variables, which no input changes.
_LEFT_OUT = {graph_checks.finite_variables, graph_checks.checksums}


def unpack(data: bytes, modules: Path) -> None:
    """An archive gives the very member, or an `ArchiveError` and nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        packed, into = Path(directory, "packed"), Path(directory, "into")
        packed.write_bytes(data)
        into.mkdir()
        try:
            found = checkpoint_archive.extract(packed, members={MEMBER: MOST_BYTES}, into=into)
        except ArchiveError:
            assert list(into.iterdir()) == []
            return
        assert list(into.iterdir()) == [found] == [into / MEMBER]
        with tarfile.open(packed, "r:gz") as tar:
            [member] = [one for one in tar if one.isreg()]
            assert found.read_bytes() == tar.extractfile(member).read()
        assert found.stat().st_size <= MOST_BYTES


def read_record(data: bytes, modules: Path) -> None:
    """A text gives the record that is written so, or a `ValueError`."""
    text = data.decode(errors="surrogatepass")
    try:
        record = provenance.from_json(text)
    except ValueError:
        return
    assert record.to_json() == text


def check_module(data: bytes, modules: Path) -> None:
    """The checks that run nothing end in time, and raise nothing but `UnreadableError`.

    Args:
      data: JSON: the version, mutations of the SavedModel, and of its bytes.
      modules: the directory of good modules.
    """
    changes = json.loads(data)
    good = modules / str(changes["version"])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(shutil.copytree(good, Path(directory, "module")))
        (path / "saved_model.pb").write_bytes(mutated(good, changes))
        begin = time.monotonic()
        _check(Subject(Module(path)))
        assert time.monotonic() - begin < MOST_SECONDS


def mutated(good: Path, changes) -> bytes:
    saved_model = saved_model_pb2.SavedModel.FromString((good / "saved_model.pb").read_bytes())
    strings = mutations.names(saved_model)
    for meta_graph, *numbers in changes["mutations"]:
        proto = saved_model.meta_graphs[meta_graph % len(saved_model.meta_graphs)]
        mutations.mutate(proto, numbers, strings=strings)
    content = bytearray(saved_model.SerializeToString(deterministic=True))
    for place, byte in changes["bytes"]:
        if content:
            content[place % len(content)] = byte
    return bytes(content)


def _check(subject: Subject) -> None:
    if list(conformance.readable(subject.module)):
        return
    own = conformance._OF_FORMAT[subject.promise.format.name].GRAPH_CHECKS
    for check in {*graph_checks.CHECKS, *own} - _LEFT_OUT:
        try:
            for problem in check(subject):
                assert isinstance(problem, str)
        except UnreadableError:
            continue


def unpack_module(data: bytes, modules: Path) -> None:
    """An archive gives what others read in it, below one directory, or an `UnreadableError` and nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        packed, into = Path(directory, "packed"), Path(directory, "into")
        packed.write_bytes(data)
        into.mkdir()
        try:
            archived.unpack(packed, into=into)
        except UnreadableError:
            return
        finally:
            assert sorted(Path(directory).iterdir()) == [into, packed]
        with tarfile.open(packed, "r|gz") as tar:
            expected = {
                posixpath.normpath(one.name): tar.extractfile(one).read()
                for one in tar
                if one.isreg()
            }
        assert read(into) == expected


TARGETS = {
    "archives": unpack,
    "module_archives": unpack_module,
    "records": read_record,
    "modules": check_module,
}
