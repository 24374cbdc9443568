"""slimhub.export.module_archive: a module as one file, whose bytes depend on nothing but the module."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from publishing import read
from stem import rewrite_variables, sign

from slimhub.export import module_archive
from slimhub.export.errors import CheckError
from slimhub.signatures import contract, directory, formats

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


def tar(*arguments: str | Path, **environment: str) -> str:
    """What the program of that name prints."""
    return subprocess.run(
        ["tar", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    ).stdout


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


def test_tar(stem, into, tmp_path):
    """The program `tar` lists it, and unpacks the module where it stands."""
    module_archive.pack(stem / "3", into=into)
    lines = tar("-tzvf", into, LC_ALL="C", TZ="UTC").splitlines()
    names = [
        ("drwxr-xr-x", "./"),
        ("drwxr-xr-x", "./assets.extra/"),
        ("-rw-r--r--", "./assets.extra/provenance.json"),
        ("-rw-r--r--", "./saved_model.pb"),
        ("-rw-r--r--", "./tfhub_module.pb"),
        ("drwxr-xr-x", "./variables/"),
        ("-rw-r--r--", f"./{DATA}"),
        ("-rw-r--r--", "./variables/variables.index"),
    ]
    found = [line.split() for line in lines]
    assert [(mode, name) for mode, _, _, _, _, name in found] == names
    assert {(owner, day, time) for _, owner, _, day, time, _ in found} == {
        ("0/0", "1970-01-01", "00:00")
    }
    (tmp_path / "unpacked").mkdir()
    assert tar("-xzf", into, "-C", tmp_path / "unpacked") == ""
    assert read(tmp_path / "unpacked") == read(stem / "3")


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
        "import sys; from pathlib import Path; from slimhub.export import module_archive;"
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


def _longer(module: Path) -> None:
    with (module / DATA).open("ab") as file:
        file.write(b"more")


def _shorter(module: Path) -> None:
    os.truncate(module / DATA, 1000)


def _link_to_the_same(module: Path) -> None:
    (module / DATA).rename(module.parent / "data")
    (module / DATA).symlink_to(module.parent / "data")


def _changed_provenance(module: Path) -> None:
    path = module / formats.PROVENANCE
    path.write_text(path.read_text().replace('"stem"', '"stalk"'))


def _too_long_a_name(module: Path) -> None:
    name = f"variables/{'x' * 120}"
    (module / name).write_bytes(b"")
    sign(module)


def _two_at_once(module: Path) -> None:
    _changed_byte(module)
    (module / "saved_model.pb").write_bytes(b"")


CHANGES = {
    # Name: what is done to a module, and what the message says.
    "changed_byte": (_changed_byte, [f"{DATA}: expected 500224 bytes with the SHA-256 "]),
    "longer": (_longer, [f"{DATA} has more than 500224 bytes"]),
    "shorter": (_shorter, [f"{DATA}: expected 500224 bytes", "got 1000 bytes"]),
    "two_at_once": (_two_at_once, [f"{DATA}: expected", "saved_model.pb: expected"]),
    "missing": (lambda module: (module / DATA).unlink(), [f"file missing: {DATA}"]),
    "added": (
        lambda module: (module / "saved_model.pbtxt").write_text("x"),
        ["file not expected: saved_model.pbtxt"],
    ),
    "link": (_link_to_the_same, [f"{DATA} is neither a file nor a directory"]),
    "pipe": (lambda module: os.mkfifo(module / "pipe"), ["pipe is neither a file nor"]),
    "no_provenance": (
        lambda module: (module / formats.PROVENANCE).unlink(),
        [f"there is no {formats.PROVENANCE}"],
    ),
    "changed_provenance": (_changed_provenance, ["it was changed after it was written"]),
    "long_name": (_too_long_a_name, ["can't be in an archive: name is too long"]),
    "absent": (shutil.rmtree, ["is not a directory"]),
}


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_not_as_published(module, into, change, says):
    """A module that is not as it was published is refused, with what is wrong, and no archive is left."""
    change(module)
    with pytest.raises(CheckError, match=f"^{module} is not as it was published") as caught:
        module_archive.pack(module, into=into)
    for words in says:
        assert words in str(caught.value)
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
        except CheckError:
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
    with pytest.raises(CheckError, match=f"{DATA} can't be read: .*symbolic links"):
        module_archive.pack(module, into=into)
    assert not into.exists()


def test_existing_file(stem, into):
    """A file that is there is not written over."""
    into.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        module_archive.pack(stem / "3", into=into)
    assert into.read_bytes() == b"mine"


def test_unwritable(stem, into):
    """An archive that can't be written whole is an `OSError`, and is removed."""
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from slimhub.export import module_archive;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "module_archive.pack(Path(sys.argv[1]), into=Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, stem / "3", into]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert not into.exists()


def test_memory(module, into):
    """However large the variables are, they are read in pieces."""
    os.truncate(module / DATA, 64 << 20)
    sign(module)
    tracemalloc.start()
    try:
        module_archive.pack(module, into=into)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert into.stat().st_size > 64 << 20
