"""Any byte of a module, changed: the check of the sums names the file."""

import json
import random
import shutil
from pathlib import Path

import pytest
from hostile import check

from slimhub.signatures import contract, formats, graph_checks
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.module import Module
from slimhub.signatures.subject import Subject

pytestmark = pytest.mark.xdist_group("hostile")

FILES = [
    (version, name)
    for version in contract.VERSIONS
    for name in contract.VERSIONS[version].format.files
]
each_file = pytest.mark.parametrize(("version", "name"), FILES, ids=lambda one: str(one))
# Bytes of each file that are flipped, beside the first and the last.
NUM_FLIPS = 12


@pytest.fixture
def module(stem, tmp_path):
    """A function that copies the module of a version."""
    return lambda version: Path(shutil.copytree(stem / str(version), tmp_path / "work" / "module"))


def problems(directory: Path) -> list[str]:
    """Of the files alone, as the checks tell them, without loading anything."""
    module = Module(directory)
    try:
        return list(graph_checks.checksums(Subject(module)))
    except UnreadableError as error:
        return [str(error)]


def flipped(content: bytes, place: int, bits: int = 0xFF) -> bytes:
    return content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


def changes(name: str, content: bytes):
    """Other contents of a file, by what was done to it."""
    draw = random.Random(name)
    places = {0, len(content) - 1, *(draw.randrange(len(content)) for _ in range(NUM_FLIPS))}
    for place in sorted(places):
        yield f"all bits of byte {place} flipped", flipped(content, place)
        yield f"a bit of byte {place} flipped", flipped(content, place, 1 << draw.randrange(8))
    yield "a byte appended", content + b"\n"
    yield "a byte put before", b"\0" + content
    yield "the last byte removed", content[:-1]
    yield "the first byte removed", content[1:]
    yield "emptied", b""


@each_file
def test_changed_byte(module, version, name):
    """Whatever byte of whichever file changes, that file is named, and no other."""
    directory = module(version)
    content = (directory / name).read_bytes()
    assert problems(directory) == []
    for what, other in changes(name, content):
        (directory / name).write_bytes(other)
        found = problems(directory)
        assert len(found) == 1, what
        expected = f"{name} is malformed" if name == formats.PROVENANCE else f"{name}: expected "
        assert found[0].startswith(expected), what


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_swapped_files(module, version):
    """Two files that took each other's place are both named."""
    directory = module(version)
    one, other = "saved_model.pb", "variables/variables.index"
    content = (directory / one).read_bytes()
    (directory / one).write_bytes((directory / other).read_bytes())
    (directory / other).write_bytes(content)
    assert [found.partition(":")[0] for found in problems(directory)] == [one, other]


@each_file
def test_missing_file(module, version, name):
    """A file that is gone is named."""
    directory = module(version)
    (directory / name).unlink()
    [found] = problems(directory)
    missing = f"there is no {name}" if name == formats.PROVENANCE else f"file missing: {name}"
    assert found.startswith(missing)


@each_file
def test_changed_byte_by_command_line(module, version, name):
    """A flipped bit is a failed check of the command line, with the name of the file."""
    directory = module(version)
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(flipped(content, len(content) // 2, 1))
    done = check(directory.parent, "--json", str(directory))
    [report] = json.loads(done.stdout)
    found = {result["id"]: "\n".join(result["problems"]) for result in report["results"]}
    assert (done.code, report["ok"]) == (1, False)
    expected = f"{name} is malformed" if name == formats.PROVENANCE else f"{name}: expected "
    assert expected in found["checksums"] + found["readable"]
