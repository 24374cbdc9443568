"""What is found below a root, and what is vouched for."""

import errno
import itertools
import os
import shutil
import threading

import hub
import pytest
from publishing import read

from slimhub.export import publish
from slimhub.export.hub import shelf
from slimhub.export.hub.shelf import (
    DamagedModuleError,
    OutOfOrderError,
    Shelf,
    UnknownHandleError,
)
from slimhub.signatures.directory import Directory

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
    assert Shelf(root).handles() == (
        "7/3",
        "google/imagenet/stem/feature_vector/1",
        HANDLE,
        "me/flowers/2",
        "me/flowers/12",
    )
    assert Shelf(root).below("me/flowers") == ("me/flowers/2", "me/flowers/12")
    assert Shelf(root).below("me/flow") == ()
    assert Shelf(root).below("") == Shelf(root).handles()


def test_no_modules(tmp_path):
    """A root may be empty."""
    assert Shelf(tmp_path).handles() == ()


def test_no_root(tmp_path):
    """A root that is gone, on a disk that is not there, say, does not mean that its modules are."""
    with pytest.raises(OutOfOrderError, match="The root can't be read"):
        Shelf(tmp_path / "absent").entry(HANDLE)


def test_too_many_open_files(root, monkeypatch):
    """What can't be read now is neither gone nor damaged, and is read when it can be."""
    there = Shelf(root)
    for name in ("os.scandir", "builtins.open"):
        with monkeypatch.context() as patch:
            patch.setattr(name, too_many_open_files)
            with pytest.raises(OutOfOrderError):
                there.entry(HANDLE)
    assert there.entry(HANDLE).handle == HANDLE


def too_many_open_files(*args, **kwargs):
    raise OSError(errno.EMFILE, "Too many open files")


def test_unreadable_directory(root, record, monkeypatch, caplog):
    """A directory that may not be read is passed over, and logged once."""
    hub.put(record, root / "closed/3", content=b"")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    there = Shelf(root)
    for _ in range(3):
        assert there.handles() == (HANDLE,)
    [message] = caplog.messages
    assert message.endswith("closed can't be read: Permission denied")


def test_unfinished_modules(root, record):
    """What is being published, or was left by a kill, is not found."""
    target = root / HANDLE
    with publish.staging(target.with_name("5"), overwrite=False) as staging:
        hub.put(record, staging, content=b"")
        hub.put(record, target.with_name(".3.old-01234567"), content=b"")
        hub.put(record, root / ".hidden" / "3", content=b"")
        assert Shelf(root).handles() == (HANDLE,)
        (staging / "saved_model.pb").unlink()


def test_links(root, record, tmp_path):
    """Nothing is found through a symbolic link, neither a version nor what is above one."""
    outside = tmp_path / "outside" / "3"
    hub.put(record, outside, content=b"")
    (root / "linked").symlink_to(outside.parent)
    (root / HANDLE).with_name("4").symlink_to(outside)
    assert Shelf(root).handles() == (HANDLE,)
    (root / HANDLE / "assets").symlink_to(outside)
    with pytest.raises(DamagedModuleError, match="assets is neither a file nor a directory"):
        Shelf(root).entry(HANDLE)


NO_HANDLES = {
    "parent": "../outside/3",
    "inside_parent": f"google/../{HANDLE}",
    "absolute": "/etc",
    "whole_path": "{root}/" + HANDLE,
    "empty": "",
    "nul": f"{HANDLE}\0",
    "slashes": HANDLE.replace("/", "//"),
    "dot": f"./{HANDLE}",
    "another_case": HANDLE.upper(),
    "long": "a/" * 100_000 + "3",
    "long_name": "a" * 10_000,
    "surrogate": f"{HANDLE}\udcff",
    "file": f"{HANDLE}/saved_model.pb",
    "no_version": HANDLE.rpartition("/")[0],
    "pattern": "google/*/stem/feature_vector/3",
}


@pytest.mark.parametrize("handle", NO_HANDLES.values(), ids=NO_HANDLES)
def test_no_handle(root, handle):
    """What is not exactly a handle leads nowhere, and the message is short and printable."""
    with pytest.raises(UnknownHandleError) as caught:
        Shelf(root).entry(handle.format(root=root))
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_nearest(root, record):
    """An unknown handle is told the nearest ones, also by its beginning."""
    hub.put(record, root / "me/flowers/2", content=b"")
    for handle in (HANDLE.replace("stem", "stern"), HANDLE[:-1] + "7", HANDLE.rpartition("/")[0]):
        with pytest.raises(UnknownHandleError) as caught:
            Shelf(root).entry(handle)
        assert caught.value.nearest[0] == HANDLE
    assert shelf.nearest("another/thing", Shelf(root).handles()) == []


def test_entry(stem, tmp_path):
    """A module has its record, its size, and a key that equal modules share."""
    for handle in ("a/stem/3", "b/stem/3", "b/stem/5"):
        shutil.copytree(stem / handle[-1], tmp_path / handle)
    a, b, other = map(Shelf(tmp_path).entry, ("a/stem/3", "b/stem/3", "b/stem/5"))
    assert a.record == hub.record_of(stem / "3")
    assert a.num_bytes == sum(len(content) for content in read(stem / "3").values())
    assert a.key == b.key != other.key


def flip(directory):
    path = directory / "variables/variables.data-00000-of-00001"
    path.write_bytes(b"x" + path.read_bytes()[1:])


DAMAGE = {
    "changed": (flip, "variables/variables.data-00000-of-00001: expected 5 bytes with the SHA-256"),
    "missing": (
        lambda directory: (directory / "saved_model.pb").unlink(),
        "file missing: saved_model.pb",
    ),
    "added": (
        lambda directory: (directory / "extra").write_text(""),
        "file not expected: extra",
    ),
    "no_provenance": (
        lambda directory: (directory / "assets.extra/provenance.json").unlink(),
        "there is no assets.extra/provenance.json",
    ),
    "pipe": (lambda directory: os.mkfifo(directory / "pipe"), "pipe is neither a file"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGE.values(), ids=DAMAGE)
def test_damage(root, record, damage, says, caplog):
    """A module that is not as it was published is refused with the reason, which is logged once."""
    there = Shelf(root)
    assert there.entry(HANDLE).handle == HANDLE
    damage(root / HANDLE)
    for _ in range(2):
        with pytest.raises(DamagedModuleError, match=says) as caught:
            there.entry(HANDLE)
        # What is kept does not grow by the traces of whoever asked.
        assert len(caught.traceback) < 5
    assert [message for message in caplog.messages if says in message] == caplog.messages
    assert len(caplog.messages) == 1
    # And served again once it is whole.
    shutil.rmtree(root / HANDLE)
    hub.put(record, root / HANDLE, content=b"new")
    assert there.entry(HANDLE).num_bytes > 0


def test_read_once(root, monkeypatch):
    """Files are summed once, however often and by however many a module is asked for."""
    summed = []

    def directory(path):
        summed.append(path)
        return Directory(path)

    monkeypatch.setattr(shelf, "Directory", directory)
    there = Shelf(root)
    threads = [threading.Thread(target=there.entry, args=(HANDLE,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there.entry(HANDLE)
    assert summed == [root / HANDLE]


def test_replaced(root, record):
    """While a module is replaced again and again, it is always one of those that were published."""
    there, target = Shelf(root), root / HANDLE
    keys, done = {there.entry(HANDLE).key}, threading.Event()
    seen, errors = set(), []

    def look():
        while not done.is_set():
            try:
                seen.add(there.entry(HANDLE).key)
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(30):
        with publish.staging(target, overwrite=True) as staging:
            hub.put(record, staging, content=b"%d" % number)
        keys.add(Shelf(root).entry(HANDLE).key)
    done.set()
    thread.join()
    assert errors == []
    assert len(seen) > 1
    assert seen <= keys


def test_deep_trees(tmp_path, record):
    """Directories without end are not walked to their end."""
    deep = tmp_path.joinpath(*itertools.repeat("d", 200))
    deep.mkdir(parents=True)
    hub.put(record, tmp_path / "a/3", content=b"")
    assert Shelf(tmp_path).handles() == ("a/3",)
