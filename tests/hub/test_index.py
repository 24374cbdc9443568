"""The index of a root: which modules it lists, and which it refuses."""

import errno
import itertools
import os
import shutil
import threading

import pytest
from publishing import read
from stem import sign

import hub
from slimhub.export.publishing import publish
from slimhub.hub import index
from slimhub.hub.index import DamagedModuleError, ModuleIndex, UnavailableError, UnknownHandleError
from slimhub.signatures.module.directory import Directory

HANDLE = "google/imagenet/stem/feature_vector/3"


@pytest.fixture
def record(stem):
    return hub.record_of(stem / "3")


@pytest.fixture
def root(tmp_path, record):
    """A root with one module."""
    hub.put(record, tmp_path / "root" / HANDLE, content=b"graph")
    return tmp_path / "root"


def test_handles(root, record):
    """Every version directory is found, wherever it is, versions in the order of their numbers."""
    for handle in ("me/flowers/12", "me/flowers/2", "7/3", "google/imagenet/stem/feature_vector/1"):
        hub.put(record, root / handle, content=b"")
    (root / "notes.txt").write_text("no directory")
    (root / "empty" / "3").mkdir(parents=True)
    # Very deep directories are not walked to their end.
    hub.put(record, root.joinpath(*itertools.repeat("d", 100), "3"), content=b"")
    assert ModuleIndex(root).handles() == (
        "7/3",
        "google/imagenet/stem/feature_vector/1",
        HANDLE,
        "me/flowers/2",
        "me/flowers/12",
    )
    assert ModuleIndex(root).below("me/flowers") == ("me/flowers/2", "me/flowers/12")
    assert ModuleIndex(root).below("me/flow") == ()
    assert ModuleIndex(root).below("") == ModuleIndex(root).handles()


def test_no_root(tmp_path):
    """A root that is missing, as with an unmounted disk, is an error, not an empty index."""
    with pytest.raises(UnavailableError):
        ModuleIndex(tmp_path / "absent").entry(HANDLE)


def test_too_many_open_files(root, monkeypatch):
    """A module that can't be read now is neither unknown nor damaged, and is tried again."""
    modules = ModuleIndex(root)
    for name in ("os.scandir", "builtins.open"):
        with monkeypatch.context() as patch:
            patch.setattr(name, too_many_open_files)
            with pytest.raises(UnavailableError):
                modules.entry(HANDLE)
    assert modules.entry(HANDLE).handle == HANDLE


def too_many_open_files(*args, **kwargs):
    raise OSError(errno.EMFILE, "Too many open files")


def test_unreadable_directory(root, record, monkeypatch, caplog):
    """A directory without permission is skipped, and logged once."""
    hub.put(record, root / "closed/3", content=b"")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    modules = ModuleIndex(root)
    for _ in range(3):
        assert modules.handles() == (HANDLE,)
    [message] = caplog.messages
    assert str(root / "closed") in message


def test_unfinished_modules(root, record):
    """Modules that are being published, or were left by a kill, are not in the index."""
    target = root / HANDLE
    with publish.staging(target.with_name("5"), overwrite=False) as staging:
        hub.put(record, staging, content=b"")
        hub.put(record, target.with_name(".3.old-01234567"), content=b"")
        hub.put(record, root / ".hidden" / "3", content=b"")
        assert ModuleIndex(root).handles() == (HANDLE,)
        (staging / "saved_model.pb").unlink()


def test_links(root, record, tmp_path):
    """Nothing is found through a symbolic link, neither a version nor what is above one."""
    outside = tmp_path / "outside" / "3"
    hub.put(record, outside, content=b"")
    (root / "linked").symlink_to(outside.parent)
    (root / HANDLE).with_name("4").symlink_to(outside)
    assert ModuleIndex(root).handles() == (HANDLE,)
    (root / HANDLE / "assets").symlink_to(outside)
    with pytest.raises(DamagedModuleError, match="assets"):
        ModuleIndex(root).entry(HANDLE)


NO_HANDLES = {
    "inside_parent": f"google/../{HANDLE}",
    "whole_path": "{root}/" + HANDLE,
    "nul": f"{HANDLE}\0",
    "long": "a/" * 100_000 + "3",
    "surrogate": f"{HANDLE}\udcff",
    "file": f"{HANDLE}/saved_model.pb",
    "no_version": HANDLE.rpartition("/")[0],
    "pattern": "google/*/stem/feature_vector/3",
}


@pytest.mark.parametrize("handle", NO_HANDLES.values(), ids=NO_HANDLES)
def test_no_handle(root, handle):
    """Anything but a handle is unknown, and the message is short and printable."""
    with pytest.raises(UnknownHandleError) as caught:
        ModuleIndex(root).entry(handle.format(root=root))
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_nearest(root, record):
    """The error for an unknown handle has the nearest ones, also those that begin with it."""
    hub.put(record, root / "me/flowers/2", content=b"")
    for handle in (HANDLE.replace("stem", "stern"), HANDLE[:-1] + "7", HANDLE.rpartition("/")[0]):
        with pytest.raises(UnknownHandleError) as caught:
            ModuleIndex(root).entry(handle)
        assert caught.value.nearest[0] == HANDLE
    assert index.nearest("another/thing", ModuleIndex(root).handles()) == []


def test_entry(stem, tmp_path):
    """A module has its record, its size, and a key that equal modules share."""
    for handle in ("a/stem/3", "b/stem/3", "b/stem/5"):
        shutil.copytree(stem / handle[-1], tmp_path / handle)
    a, b, other = map(ModuleIndex(tmp_path).entry, ("a/stem/3", "b/stem/3", "b/stem/5"))
    assert a.record == hub.record_of(stem / "3")
    assert a.num_bytes == sum(len(content) for content in read(stem / "3").values())
    assert a.key == b.key != other.key


def flip(directory):
    path = directory / "variables/variables.data-00000-of-00001"
    path.write_bytes(b"x" + path.read_bytes()[1:])


DAMAGE = {
    "variables/variables.data-00000-of-00001": flip,
    "saved_model.pb": lambda directory: (directory / "saved_model.pb").unlink(),
    "extra": lambda directory: (directory / "extra").write_text(""),
    "assets.extra/provenance.json": (
        lambda directory: (directory / "assets.extra/provenance.json").unlink()
    ),
    "pipe": lambda directory: os.mkfifo(directory / "pipe"),
    # As of a later release.
    "inception_v9": lambda directory: sign(directory, model="inception_v9"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(root, name, record, caplog):
    """A module that is not as it was published is refused with the file's name, and that is logged once."""
    modules = ModuleIndex(root)
    assert modules.entry(HANDLE).handle == HANDLE
    DAMAGE[name](root / HANDLE)
    for _ in range(2):
        with pytest.raises(DamagedModuleError, match=name) as caught:
            modules.entry(HANDLE)
        # The error is raised anew, so its traceback does not grow.
        assert len(caught.traceback) < 5
    [message] = caplog.messages
    assert name in message
    # And served again once it is whole.
    shutil.rmtree(root / HANDLE)
    hub.put(record, root / HANDLE, content=b"new")
    assert modules.entry(HANDLE).num_bytes > 0


def test_read_once(root, monkeypatch):
    """Files are summed once, whatever the number of requests and threads."""
    summed = []

    def directory(path):
        summed.append(path)
        return Directory(path)

    monkeypatch.setattr(index, "Directory", directory)
    modules = ModuleIndex(root)
    threads = [threading.Thread(target=modules.entry, args=(HANDLE,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    modules.entry(HANDLE)
    assert summed == [root / HANDLE]
