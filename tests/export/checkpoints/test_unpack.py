"""One checkpoint out of an archive, or an error that says what to do."""

import re
import resource
import shlex
from pathlib import Path

import pytest
from bad_archives import ARCHIVES, CONTENT, MEMBER, MOST_BYTES

from slimhub.export.checkpoints.unpack import extract
from slimhub.export.errors import ArchiveError

MEMBERS = {MEMBER: MOST_BYTES}


@pytest.fixture
def into(tmp_path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def written(directory: Path, name: str) -> Path:
    """An archive of the table, in a directory whose name has to be quoted."""
    path = directory / "my cache" / "x.tar.gz"
    path.parent.mkdir()
    path.write_bytes(ARCHIVES[name].content)
    return path


def test_good_archive(tmp_path, into):
    """The known member of an archive becomes a regular file with its content, and nothing else is written."""
    path = extract(written(tmp_path, "readme_before"), members=MEMBERS, into=into)
    assert list(into.iterdir()) == [path] == [into / MEMBER]
    assert path.read_bytes() == CONTENT


def test_bad_archive(tmp_path, into):
    """A bad archive is refused with what was found, what was expected, and where to get another."""
    archive = written(tmp_path, "others_only")
    with pytest.raises(ArchiveError) as caught:
        extract(archive, members=MEMBERS, into=into)
    assert str(caught.value) == (
        f"{archive} can't be unpacked into {into}: it holds {caught.value.__cause__.found}\n"
        f"Expected a .tar.gz with one file {MEMBER}, of at most {MOST_BYTES} bytes.\n"
        "Get the archive anew from where it is published, or unpack it by hand\n"
        f"and pass --checkpoint=/path/to/{MEMBER}"
    )
    assert caught.value.__cause__.problem == "not_one"
    assert caught.value.exit_code == 3
    assert list(into.iterdir()) == []


def test_too_many_bytes(tmp_path, into):
    """An archive may unpack to twice its largest member at most."""
    with pytest.raises(ArchiveError) as caught:
        extract(written(tmp_path, "bomb"), members=MEMBERS, into=into)
    assert caught.value.__cause__.problem == "too_many_bytes"
    assert 2 * MOST_BYTES <= caught.value.__cause__.found < 3 * MOST_BYTES


def test_from_the_cache(tmp_path, into):
    """The message about an archive in the cache says how to delete it, ready to paste."""
    archive = written(tmp_path, "truncated_gzip")
    with pytest.raises(ArchiveError) as caught:
        extract(archive, members=MEMBERS, into=into, cached=True)
    [command] = re.findall(r"delete it: (.+)", str(caught.value))
    assert shlex.split(command) == ["rm", str(archive)]


def test_missing(tmp_path, into):
    """An archive or a directory that isn't there is an `ArchiveError` that names it."""
    with pytest.raises(ArchiveError) as caught:
        extract(tmp_path / "absent.tar.gz", members=MEMBERS, into=into)
    assert caught.value.__cause__.filename == str(tmp_path / "absent.tar.gz")
    into.rmdir()
    with pytest.raises(ArchiveError) as caught:
        extract(written(tmp_path, "plain"), members=MEMBERS, into=into)
    assert caught.value.__cause__.filename == str(into / MEMBER)


def test_no_room(tmp_path, into):
    """If there is no room for the file, the message says how to choose another directory."""
    archive = written(tmp_path, "plain")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ArchiveError, match="TMPDIR"):
            extract(archive, members=MEMBERS, into=into)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
