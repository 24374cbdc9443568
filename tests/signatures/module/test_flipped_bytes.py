"""Any byte of a module's files, changed: the check of the sums names the file."""

import json
import shutil
from pathlib import Path

import pytest
from hostile import check

from slimhub.signatures.checks import static
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module

pytestmark = pytest.mark.xdist_group("hostile")

FILES = [
    (version, name)
    for version in contract.VERSIONS
    for name in contract.VERSIONS[version].format.files
    if name != formats.PROVENANCE
]
each_file = pytest.mark.parametrize(("version", "name"), FILES, ids=lambda one: str(one))


@pytest.fixture
def module(stem, tmp_path):
    """A function that copies the module of a version."""
    return lambda version: Path(shutil.copytree(stem / str(version), tmp_path / "work" / "module"))


def problems(directory: Path) -> list[str]:
    """Return the problems of the files alone, as the checks tell them, without loading anything."""
    module = Module(directory)
    try:
        return list(static.checksums(ModuleUnderTest(module)))
    except UnreadableError as error:
        return [str(error)]


def flipped(content: bytes, place: int, bits: int) -> bytes:
    return content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


def changes(content: bytes):
    """Yield other contents of a file."""
    for place in (0, len(content) // 2, len(content) - 1):
        yield flipped(content, place, 0xFF)
        yield flipped(content, place, 1)
    yield content + b"\n"
    yield content[1:]
    yield b""


@each_file
def test_changed_byte(module, version, name):
    """Whatever byte of whichever file changes, that file is named, and no other."""
    directory = module(version)
    content = (directory / name).read_bytes()
    assert problems(directory) == []
    for other in changes(content):
        (directory / name).write_bytes(other)
        [found] = problems(directory)
        assert found.startswith(f"{name}: expected ")


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_changed_record(module, version):
    """A record without one of its bytes, or with another sum of a file, is told from the one that was written."""
    directory = module(version)
    path = directory / formats.PROVENANCE
    content = path.read_bytes()
    for place in (0, content.index(b'"handle"') + 1, content.index(b'"status"'), len(content) - 2):
        path.write_bytes(content[:place] + content[place + 1 :])
        [found] = problems(directory)
        assert found.startswith(f"{formats.PROVENANCE} is malformed")
    for file in json.loads(content)["files"]:
        digest = file["sha256"].encode()
        path.write_bytes(content.replace(digest, digest[::-1]))
        [found] = problems(directory)
        assert found.startswith(f"{file['name']}: expected ")


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
    assert found.startswith(f"file missing: {name}")


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
    assert f"{name}: expected " in found["checksums"] + found["readable"]
