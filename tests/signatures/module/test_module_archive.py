"""A module as one file, whose bytes depend on nothing but the module."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from publishing import read
from stem import rewrite_variables, sign

from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module import directory, module_archive
from slimhub.signatures.module.module_archive import ChangedModuleError

DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def module(stem, tmp_path) -> Path:
    """A copy of a module, to be changed."""
    return shutil.copytree(stem / "3", tmp_path / "modules" / "3")


@pytest.fixture
def into(tmp_path) -> Path:
    return tmp_path / "3.tar.gz"


def packed(module: Path, into: Path) -> bytes:
    found = module_archive.pack(module, into=into)
    content = into.read_bytes()
    assert found.num_bytes == len(content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    into.unlink()
    return content


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_members(stem, into, version):
    """The root is the module's, everything is sorted, and owners, groups, times and modes say nothing."""
    module = stem / str(version)
    module_archive.pack(module, into=into)
    with tarfile.open(into) as archive:
        members = archive.getmembers()
        files = {one.name: archive.extractfile(one).read() for one in members if not one.isdir()}
    assert files == {f"./{name}": content for name, content in read(module).items()}
    assert [one.name for one in members if one.isdir()] == [".", "./assets.extra", "./variables"]
    assert [one.name for one in members] == sorted(one.name for one in members)
    for one in members:
        assert one.type == (tarfile.DIRTYPE if one.isdir() else tarfile.REGTYPE)
        assert one.mode == (0o755 if one.isdir() else 0o644)
        assert (one.uid, one.gid, one.uname, one.gname, one.mtime) == (0, 0, "", "", 0)
        assert (one.pax_headers, one.linkname) == ({}, "")


def test_same_bytes(stem, into, tmp_path):
    """Other times, modes and owners, another order of writing, another umask: the same bytes."""
    other, before = tmp_path / "other", os.umask(0o077)
    try:
        for name, content in sorted(read(stem / "3").items(), reverse=True):
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            (other / name).write_bytes(content)
            (other / name).chmod(0o440)
            os.utime(other / name, (1, 1))
        if os.geteuid() == 0:
            os.chown(other / formats.PROVENANCE, 12, 34)
        again = packed(other, into)
    finally:
        os.umask(before)
    assert again == packed(stem / "3", into) == packed(stem / "3", into)


def test_other_process(stem, into):
    """A process with other settings packs the same bytes, and without TensorFlow."""
    code = (
        "import sys; from pathlib import Path; from slimhub.signatures.module import module_archive;"
        "module_archive.pack(Path(sys.argv[1]), into=Path(sys.argv[2]));"
        "assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    )
    settings = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, stem / "3", into]
    subprocess.run(command, check=True, env=os.environ | settings)
    elsewhere = into.read_bytes()
    into.unlink()
    assert elsewhere == packed(stem / "3", into)


def _changed_byte(module: Path) -> None:
    content = bytearray((module / DATA).read_bytes())
    content[1000] ^= 1
    (module / DATA).write_bytes(content)


def _link_to_the_same(module: Path) -> None:
    (module / DATA).rename(module.parent / "data")
    (module / DATA).symlink_to(module.parent / "data")


def _changed_provenance(module: Path) -> None:
    path = module / formats.PROVENANCE
    path.write_text(path.read_text().replace('"handle"', '"name"'))


def _two_at_once(module: Path) -> None:
    _changed_byte(module)
    (module / "saved_model.pb").write_bytes(b"")


CHANGES = {
    # Name: what is done to a module, and the names in its problems.
    "changed_byte": (_changed_byte, [DATA]),
    "two_at_once": (_two_at_once, ["saved_model.pb", DATA]),
    "missing": (lambda module: (module / DATA).unlink(), [DATA]),
    "added": (lambda module: (module / "more.pb").write_text("x"), ["more.pb"]),
    "link": (_link_to_the_same, [DATA]),
    "pipe": (lambda module: os.mkfifo(module / "pipe"), ["pipe"]),
    "no_provenance": (
        lambda module: (module / formats.PROVENANCE).unlink(),
        [formats.PROVENANCE],
    ),
    "changed_provenance": (_changed_provenance, [formats.PROVENANCE]),
    "absent": (shutil.rmtree, ["modules/3"]),
}


@pytest.mark.parametrize(("change", "names"), CHANGES.values(), ids=CHANGES)
def test_not_as_published(module, into, change, names):
    """A module that is not as it was published is refused, with what is wrong, and no archive is left."""
    change(module)
    with pytest.raises(ChangedModuleError) as caught:
        module_archive.pack(module, into=into)
    assert caught.value.directory == module
    assert len(caught.value.problems) == len(names)
    for problem, name in zip(caught.value.problems, names, strict=True):
        assert name in problem
        assert problem in str(caught.value)
    assert not into.exists()


def test_replaced_meanwhile(stem, module, into, tmp_path, monkeypatch):
    """Another version that takes the directory's place, at any moment, is never mixed with the first."""
    other = shutil.copytree(module, tmp_path / "other")
    rewrite_variables(other, lambda arrays: arrays.update({k: v + 1 for k, v in arrays.items()}))
    sign(other)
    wholes = [packed(one, into) for one in (module, other)]
    assert wholes[0] != wholes[1]
    found, open_file = [], directory._open
    for swap_at in range(len(read(module)) + 1):
        opened = []

        def swapping(path, flags, opened=opened, swap_at=swap_at):
            if len(opened) == swap_at:
                module.rename(tmp_path / "aside")
                other.rename(module)
                (tmp_path / "aside").rename(other)
            opened.append(path)
            return open_file(path, flags)

        monkeypatch.setattr(directory, "_open", swapping)
        try:
            found.append(packed(module, into))
        except ChangedModuleError:
            found.append(None)
        assert not into.exists()
    assert set(found) <= {*wholes, None}
    assert found[0] in wholes
    assert None in found


def test_link_in_the_last_moment(module, into, monkeypatch):
    """A link that takes a file's place after the directory was listed is not followed."""
    open_file = directory._open

    def replacing(path, flags):
        if path.endswith(DATA) and not os.path.islink(path):
            _link_to_the_same(module)
        return open_file(path, flags)

    monkeypatch.setattr(directory, "_open", replacing)
    with pytest.raises(ChangedModuleError) as caught:
        module_archive.pack(module, into=into)
    assert [DATA in problem for problem in caught.value.problems] == [True]
    assert not into.exists()
