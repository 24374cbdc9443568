"""--sha256 and archives of which no sum is known: how sure an origin is, and what is refused."""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from misbehaving_server import fail, send, send_all, serving

from slimhub.export import checkpoint as checkpoints
from slimhub.export.errors import CheckpointError, DownloadError, SourceError
from slimhub.models import catalog

V1 = catalog.get("inception_v1")
OTHER = "0123456789abcdef" * 4


def tar_gz(content: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo(V1.archive.member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    # Stored, so that half of it is no small part.
    return gzip.compress(data.getvalue(), compresslevel=0, mtime=0)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


WEIGHTS = b"weights" * 30_000
ARCHIVE = tar_gz(WEIGHTS)
HALF = len(ARCHIVE) // 2


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "slimhub"


@pytest.fixture
def serve():
    with serving() as serve:
        yield serve


@pytest.fixture
def resolve(tmp_path, cache):
    """A function that brings a checkpoint; unless others are given, of an archive with no known sum."""

    def resolve(source=None, *urls: str, sha256=None, known=None) -> checkpoints.Checkpoint:
        workdir = tmp_path / "workdir"
        workdir.mkdir(exist_ok=True)
        for path in workdir.iterdir():
            path.unlink()
        size = None if known is None else len(ARCHIVE)
        archive = dataclasses.replace(V1.archive, urls=urls, sha256=known, num_bytes=size)
        model = dataclasses.replace(V1, archive=archive)
        source = None if source is None else str(source)
        return checkpoints.resolve(source, model=model, workdir=workdir, sha256=sha256)

    return resolve


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("known", "pin", "status"),
    [
        (None, None, "unverified"),
        (None, sha256(ARCHIVE), "pinned"),
        (sha256(ARCHIVE), sha256(ARCHIVE), "verified"),
        (OTHER, sha256(ARCHIVE), "pinned"),
    ],
    ids=["unknown", "pinned", "published", "not_published"],
)
@pytest.mark.parametrize("place", ["file", "directory", "cache", "download", "url"])
def test_archive(resolve, serve, cache, tmp_path, place, known, pin, status):
    """Wherever an archive is from, its SHA-256 tells how sure its origin is, and is recorded."""
    url = serve(send(ARCHIVE)).url
    path = put(tmp_path / "weights" / V1.archive.name, ARCHIVE)
    if place == "cache":
        put(cache / V1.archive.name, ARCHIVE)
    source = {"file": path, "directory": path.parent, "url": url}.get(place)
    found = resolve(source, url, known=known, sha256=pin)
    assert found.status == status
    assert [file.sha256 for file in found.files] == [sha256(ARCHIVE), sha256(WEIGHTS)]


@pytest.mark.parametrize("place", ["file", "directory", "v1_file"])
def test_file_that_is_not_pinned(resolve, tmp_path, place):
    """A file that is not the one that was pinned is refused with both sums."""
    path = put(tmp_path / "weights" / V1.archive.name, ARCHIVE)
    data = WEIGHTS if place == "v1_file" else ARCHIVE
    if place == "v1_file":
        path = put(tmp_path / "model.ckpt", WEIGHTS)
    with pytest.raises(SourceError) as caught:
        resolve(path.parent if place == "directory" else path, sha256=OTHER)
    assert str(caught.value) == (
        f"{path} is not the file that --sha256 names: expected the SHA-256 {OTHER}, found "
        f"{sha256(data)}. Nothing was exported."
    )
    assert caught.value.exit_code == 3


def test_v1_file(resolve, tmp_path):
    """A V1 file can be pinned; it is never taken for the published archive."""
    path = put(tmp_path / "model.ckpt", WEIGHTS)
    assert resolve(path, sha256=sha256(WEIGHTS)).status == "pinned"


def test_v2_prefix(resolve, tmp_path):
    """A V2 checkpoint is several files, of which no one can be pinned."""
    for suffix in (".index", ".data-00000-of-00001"):
        put(tmp_path / f"model.ckpt{suffix}", WEIGHTS)
    with pytest.raises(SourceError, match="is a V2 checkpoint, of 2 files: --sha256 can only be"):
        resolve(tmp_path / "model.ckpt", sha256=sha256(WEIGHTS))


def test_other_download(resolve, serve, cache):
    """What is downloaded but not pinned is refused with both sums, and not kept."""
    url = serve(send(ARCHIVE)).url
    with pytest.raises(DownloadError) as caught:
        resolve(None, url, sha256=OTHER)
    assert f"{url}: SHA-256 {sha256(ARCHIVE)}, expected {OTHER}" in str(caught.value)
    assert f"Expected a whole .tar.gz, SHA-256 {OTHER}." in str(caught.value)
    assert {path.name for path in cache.rglob("*.*")} == {f"{V1.archive.name}.lock"}


def test_other_in_cache(resolve, serve, cache):
    """An archive in the cache that is not the pinned one is left there, and the pinned one fetched once."""
    other = tar_gz(b"other weights")
    path = put(cache / V1.archive.name, other)
    server = serve(send(ARCHIVE))
    for _ in range(2):
        assert resolve(None, server.url, sha256=sha256(ARCHIVE)).status == "pinned"
    assert path.read_bytes() == other
    assert len(server.requests) == 1


def test_other_urls(resolve, serve, cache):
    """Without a known sum, what is at a URL of one's own is taken for nothing else, and kept apart."""
    put(cache / V1.archive.name, tar_gz(b"the published weights"))
    others = [tar_gz(b"one"), tar_gz(b"two")]
    urls = [serve(send(data)).url for data in others]
    for _ in range(2):
        for url, data in zip(urls, others, strict=True):
            found = resolve(url)
            assert found.taken == url
            assert found.files[0].sha256 == sha256(data)
    assert resolve().files[0].sha256 == sha256(tar_gz(b"the published weights"))


def test_once(resolve, serve, cache):
    """An archive whose sum is not known is downloaded once."""
    server = serve(send(ARCHIVE))
    for _ in range(2):
        assert resolve(None, server.url).status == "unverified"
    assert len(server.requests) == 1
    assert (cache / V1.archive.name).read_bytes() == ARCHIVE


def test_resumed(resolve, serve, cache):
    """Where the size is not known, what a lost connection has brought is not asked for again."""
    server = serve(send(ARCHIVE, sent=HALF), send(ARCHIVE))
    assert resolve(None, server.url).files[0].sha256 == sha256(ARCHIVE)
    first, second = server.requests
    assert first["range"] is None
    assert second["sent"] < len(ARCHIVE)


def test_part_of_another(resolve, serve, cache):
    """A part of another file is noticed by the gzip's own sum, and all of it fetched anew."""
    put(cache / f"{V1.archive.name}.part", tar_gz(b"elsewhe" * 30_000)[:HALF])
    server = serve(send(ARCHIVE))
    assert resolve(None, server.url).files[0].sha256 == sha256(ARCHIVE)
    assert len(server.requests) == 2


REFUSED = {
    "long": (
        send(b"", declared="9" * 5000),
        f"Content-Length {'9' * 40}, which must tell",
    ),
    "large": (
        send(b"", declared="9" * 12),
        f"Content-Length {'9' * 12}, expected an archive of at most ",
    ),
    "no_length": (send_all(ARCHIVE), "Content-Length none, which must tell when all of it"),
    "sign_in": (send(b"<html>Sign in</html>"), "no whole .tar.gz: Not a gzipped file"),
    "cut_off": (send(ARCHIVE[:HALF]), "no whole .tar.gz: Compressed file ended"),
    "absent": (fail(404), "HTTP 404"),
}


@pytest.mark.parametrize(("behave", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(resolve, serve, cache, behave, reason):
    """Without a sum, only a whole gzip of a declared length gets into the cache."""
    url = serve(behave).url
    with pytest.raises(DownloadError) as caught:
        resolve(None, url)
    assert f"  {url}: {reason}" in str(caught.value)
    assert "Expected a whole .tar.gz, SHA-256 not known." in str(caught.value)
    assert not (cache / V1.archive.name).exists()


def test_nothing_is_left(resolve, tmp_path):
    """A pinned archive is looked at before anything is unpacked."""
    path = put(tmp_path / V1.archive.name, ARCHIVE)
    with contextlib.suppress(CheckpointError):
        resolve(path, sha256=OTHER)
    assert list((tmp_path / "workdir").iterdir()) == []
