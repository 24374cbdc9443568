"""Certainty of an origin, with --sha256 and where no SHA-256 is published, and refused files."""

import dataclasses
import gzip
import hashlib
import random
import shutil
import ssl
from pathlib import Path

import pytest
import trustme
from bad_archives import entry, tar_gz
from misbehaving_server import fail, redirect_to, send, send_all, serving

from slimhub.export.checkpoints import resolve as checkpoints
from slimhub.export.errors import DownloadError, SourceError
from slimhub.models import catalog

V1 = catalog.get("inception_v1")
OTHER = "0123456789abcdef" * 4


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# No compression makes half of it a small part.
WEIGHTS = random.Random(1).randbytes(200_000)
ARCHIVE, OTHER_ARCHIVE = tar_gz(entry(content=WEIGHTS)), tar_gz(entry(content=WEIGHTS[::-1]))
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
def tls(tmp_path, monkeypatch) -> ssl.SSLContext:
    """Return the settings of an https server on 127.0.0.1 that downloads trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def resolve(tmp_path, cache):
    """Return a function that resolves a checkpoint, by default of an archive with no known SHA-256."""

    def resolve(source=None, *urls: str, sha256=None, known=None) -> checkpoints.Checkpoint:
        workdir = tmp_path / "workdir"
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir()
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
    """Wherever an archive is from, its SHA-256 determines its status, and is recorded."""
    url = serve(send(ARCHIVE)).url
    path = put(tmp_path / "weights" / V1.archive.name, ARCHIVE)
    if place == "cache":
        put(cache / V1.archive.name, ARCHIVE)
    source = {"file": path, "directory": path.parent, "url": url}.get(place)
    found = resolve(source, url, known=known, sha256=pin)
    assert found.status == status
    assert found.path == tmp_path / "workdir" / V1.archive.member
    assert found.taken == (url if place == "url" else str(found.places[0]))
    assert [file.sha256 for file in found.files] == [sha256(ARCHIVE), sha256(WEIGHTS)]


@pytest.mark.parametrize(
    ("name", "data"), [(V1.archive.name, ARCHIVE), ("inception_v1.ckpt", WEIGHTS)]
)
@pytest.mark.parametrize("as_directory", [False, True])
def test_file_that_is_not_pinned(resolve, tmp_path, name, data, as_directory):
    """A file that is not the pinned one is refused with both SHA-256, before anything is unpacked."""
    path = put(tmp_path / "weights" / name, data)
    with pytest.raises(SourceError) as caught:
        resolve(path.parent if as_directory else path, sha256=OTHER)
    error = caught.value
    assert (error.reason, error.path) == ("other file", path)
    assert (error.expected, error.found) == (OTHER, sha256(data))
    assert list((tmp_path / "workdir").iterdir()) == []


def test_v1_file(resolve, tmp_path):
    """A V1 file can be pinned; it never counts as the published archive."""
    path = put(tmp_path / "model.ckpt", WEIGHTS)
    assert resolve(path, sha256=sha256(WEIGHTS)).status == "pinned"


def test_v2_prefix(resolve, tmp_path):
    """A V2 checkpoint can't be pinned, as it is several files."""
    names = tuple(f"model.ckpt{suffix}" for suffix in (".index", ".data-00000-of-00001"))
    for name in names:
        put(tmp_path / name, WEIGHTS)
    with pytest.raises(SourceError) as caught:
        resolve(tmp_path / "model.ckpt", sha256=sha256(WEIGHTS))
    assert (caught.value.path, caught.value.found) == (tmp_path / "model.ckpt", names)


def test_other_download(resolve, serve, cache):
    """A download that is not the pinned file is refused with both SHA-256, and not kept."""
    url = serve(send(ARCHIVE)).url
    with pytest.raises(DownloadError) as caught:
        resolve(None, url, sha256=OTHER)
    assert caught.value.failures[url] == f"SHA-256 {sha256(ARCHIVE)}, expected {OTHER}"
    assert caught.value.expected == f"a whole .tar.gz, SHA-256 {OTHER}"
    assert {path.name for path in cache.rglob("*.*")} == {f"{V1.archive.name}.lock"}


def test_other_in_cache(resolve, serve, cache):
    """Another archive in the cache than the pinned one stays, and the pinned one is fetched once."""
    path = put(cache / V1.archive.name, OTHER_ARCHIVE)
    server = serve(send(ARCHIVE))
    for _ in range(2):
        assert resolve(None, server.url, sha256=sha256(ARCHIVE)).status == "pinned"
    assert path.read_bytes() == OTHER_ARCHIVE
    assert len(server.requests) == 1


def test_other_urls(resolve, serve, cache):
    """Without a known SHA-256, archives of different URLs are kept apart in the cache."""
    put(cache / V1.archive.name, tar_gz(entry()))
    urls = {serve(send(data)).url: data for data in (ARCHIVE, OTHER_ARCHIVE)}
    for _ in range(2):
        for url, data in urls.items():
            found = resolve(url)
            assert (found.taken, found.files[0].sha256) == (url, sha256(data))
    assert resolve().files[0].sha256 == sha256(tar_gz(entry()))


@pytest.mark.parametrize(
    "content",
    [b"<html>Sign in</html>", gzip.compress(b"<html>" * 99), gzip.compress(b"short")],
    ids=["page", "gzip", "short"],
)
def test_no_archive_in_cache(resolve, serve, cache, content):
    """Without a known SHA-256, a file in the cache that is no .tar.gz is downloaded anew."""
    put(cache / V1.archive.name, content)
    server = serve(fail(404), send(ARCHIVE))
    with pytest.raises(DownloadError) as caught:
        resolve(None, server.url)
    assert list(caught.value.failures) == [str(cache / V1.archive.name), server.url]
    assert (cache / V1.archive.name).read_bytes() == content
    assert resolve(None, server.url).files[0].sha256 == sha256(ARCHIVE)


@pytest.mark.parametrize("pin", [None, sha256(ARCHIVE)])
@pytest.mark.parametrize("named", [False, True])
def test_downloaded(resolve, serve, tls, named, pin):
    """An archive from an official https URL is called downloaded from there, from the cache too."""
    server = serve(send(ARCHIVE), tls=tls)
    for _ in range(2):
        found = resolve(server.url if named else None, server.url, sha256=pin)
        assert (found.status, found.url) == ("downloaded", server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("known", [sha256(ARCHIVE), OTHER])
def test_known_sum(resolve, serve, tls, known):
    """Where a SHA-256 is published, it determines the status, and no URL is recorded."""
    url = serve(send(ARCHIVE), tls=tls).url
    found = resolve(None, url, known=known, sha256=sha256(ARCHIVE))
    assert (found.status, found.url) == ("verified" if known != OTHER else "pinned", None)


def test_unofficial_url(resolve, serve, tls):
    """An https URL that is not an official one makes no archive the published one."""
    found = resolve(serve(send(ARCHIVE), tls=tls).url, "https://storage.example/a.tar.gz")
    assert (found.status, found.url) == ("unverified", None)


def test_forged_origin(resolve, serve, tls, cache, tmp_path):
    """Another archive in the cache, a copied cache, or a damaged record is not called downloaded."""
    url = serve(send(ARCHIVE), tls=tls).url
    assert resolve(None, url).status == "downloaded"
    assert resolve(shutil.copytree(cache, tmp_path / "copy"), url).status == "unverified"
    archive = cache / V1.archive.name
    archive.write_bytes(OTHER_ARCHIVE)
    assert resolve(None, url).status == "unverified"
    archive.write_bytes(ARCHIVE)
    archive.with_name(f"{archive.name}.origin").write_bytes(b"\xff")
    assert resolve(None, url).status == "unverified"


def test_redirected_to_http(resolve, serve, tls, cache):
    """A redirect from https to http is not followed into the cache."""
    forged = serve(send(ARCHIVE)).url
    url = serve(redirect_to(forged), tls=tls).url
    with pytest.raises(DownloadError) as caught:
        resolve(None, url)
    assert caught.value.failures[url] == f"redirected to {forged}, expected https"
    assert not (cache / V1.archive.name).exists()


def test_resumed(resolve, serve, cache):
    """If the size is not known, the bytes that a lost connection delivered are not requested again."""
    server = serve(send(ARCHIVE, sent=HALF), send(ARCHIVE))
    assert resolve(None, server.url).files[0].sha256 == sha256(ARCHIVE)
    first, second = server.requests
    assert first["range"] is None
    assert second["sent"] < len(ARCHIVE)


def test_part_of_another(resolve, serve, cache):
    """A part of another file is detected by the gzip's checksum, and all of it is fetched anew."""
    put(cache / f"{V1.archive.name}.part", OTHER_ARCHIVE[:HALF])
    server = serve(send(ARCHIVE))
    assert resolve(None, server.url).files[0].sha256 == sha256(ARCHIVE)
    assert len(server.requests) == 2


REFUSED = {
    "long": send(b"", declared="9" * 5000),
    "large": send(b"", declared="9" * 12),
    "no_length": send_all(ARCHIVE),
    "sign_in": send(b"<html>Sign in</html>"),
    "cut_off": send(ARCHIVE[:HALF]),
}


@pytest.mark.parametrize("behave", REFUSED.values(), ids=REFUSED)
def test_refused(resolve, serve, cache, behave):
    """Without a known SHA-256, only a whole .tar.gz of a declared length gets into the cache."""
    url = serve(behave).url
    with pytest.raises(DownloadError) as caught:
        resolve(None, url)
    assert list(caught.value.failures) == [str(cache / V1.archive.name), url]
    assert len(caught.value.failures[url]) < 200
    assert caught.value.expected == "a whole .tar.gz, SHA-256 not known"
    assert not (cache / V1.archive.name).exists()
