"""Responses of the server: archives as in TF Hub's protocol, and errors that help."""

import contextlib
import dataclasses
import hashlib
import http.client
import shutil
import urllib.parse

import html5lib
import pytest
import requests

import hub
from hub import STEM
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module import module_archive

pytestmark = pytest.mark.xdist_group("hub")

COMPRESSED = "?tf-hub-format=compressed"


@pytest.fixture(scope="module")
def root(stem, tmp_path_factory):
    """The small module of each version, one of which is damaged."""
    root = hub.root_with(stem, tmp_path_factory.mktemp("hub"))
    shutil.copytree(stem / "3", root / "damaged/3")
    (root / "damaged/3/saved_model.pb").write_bytes(b"other")
    (root.parent / "secret").write_text("what nobody may read")
    return root


@pytest.fixture(scope="module")
def server(root):
    with hub.serving(root, root.parent / "home") as server:
        yield server


@pytest.fixture(scope="module")
def get(server):
    """A function that requests a path of the server."""
    session = requests.Session()

    def get(path: str, *, method="GET", **headers) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{server.url}/{path}"
        return session.request(method, url, headers=names, allow_redirects=False, timeout=60)

    return get


def raw(server, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    """Return status and body of a request whose path is sent unchanged."""
    host = urllib.parse.urlsplit(server.url).netloc
    with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        connection.putrequest(method, path)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def packed(stem, tmp_path_factory):
    """The archive of version 3, packed without a server."""
    path = tmp_path_factory.mktemp("packed") / "3.tar.gz"
    module_archive.pack(stem / "3", into=path)
    return path.read_bytes()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        f"{STEM}/3{COMPRESSED}",
        f"{STEM}/3/?tf-hub-format=uncompressed,compressed",
        f"{STEM}/3.tar.gz",
        f"{STEM}/3.tar.gz{COMPRESSED}",
    ],
)
def test_archive(get, packed, path, method):
    """A handle leads to the archive of the module, whose ETag is its SHA-256."""
    answer = get(path, method=method)
    assert answer.status_code == 200
    assert answer.content == (packed if method == "GET" else b"")
    assert answer.headers["etag"] == f'"{hashlib.sha256(packed).hexdigest()}"'
    assert answer.headers["content-length"] == str(len(packed))
    assert answer.headers["content-type"] == "application/gzip"
    # It would be that of the packing.
    assert not {"content-encoding", "last-modified"} & {name.lower() for name in answer.headers}


def test_ranges(get, packed):
    """Ranges are served, so that a download can be resumed."""
    path, total = f"{STEM}/3{COMPRESSED}", len(packed)
    etag = get(path, method="HEAD").headers["etag"]
    assert get(path, method="HEAD").headers["accept-ranges"] == "bytes"
    for asked, begin, end in (
        ("bytes=0-99", 0, 100),
        (f"bytes={total - 7}-", total - 7, total),
        ("bytes=-5", total - 5, total),
    ):
        answer = get(path, Range=asked, If_Range=etag)
        assert (answer.status_code, answer.content) == (206, packed[begin:end])
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{total}"
    for condition in ('"another"', f"W/{etag}", "Sat, 21 Nov 2099 00:00:00 GMT"):
        answer = get(path, Range="bytes=0-99", If_Range=condition)
        assert (answer.status_code, answer.content) == (200, packed)
    for ignored in ("items=0-5", "bytes=", "bytes=a-b", "5-9"):
        assert get(path, Range=ignored).content == packed
    assert get(path, Range=f"bytes={total}-").status_code == 416


def test_not_modified(get):
    """A client that has the archive already gets 304."""
    path = f"{STEM}/3{COMPRESSED}"
    etag = get(path, method="HEAD").headers["etag"]
    for condition in (etag, f'"a", {etag}', f"W/{etag}", "*"):
        answer = get(path, If_None_Match=condition)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert get(path, If_None_Match='"another"').status_code == 200


def test_uncompressed(get):
    """Modules can't be read without downloading them: a request for that gets 406."""
    answer = get(f"{STEM}/3?tf-hub-format=uncompressed")
    assert answer.status_code == 406
    assert "tf-hub-format=compressed" in answer.text
    assert get(f"{STEM}/2?tf-hub-format=uncompressed").status_code == 404


@pytest.mark.parametrize("path", [f"{STEM}/2{COMPRESSED}", f"{STEM}/2", f"{STEM}{COMPRESSED}"])
def test_unknown(get, path):
    """An unknown handle, as one without a version, is not found, and the nearest ones are named."""
    answer = get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        404,
        "text/plain; charset=utf-8",
    )
    nearest = answer.text.splitlines()[2:]
    assert len(set(nearest)) == 3
    assert set(nearest) <= {f"{STEM}/{version}" for version in contract.VERSIONS}
    page = get(path, Accept="text/html,*/*")
    assert page.status_code == 404
    assert f'<a href="/{STEM}/3"' in page.text


def test_damaged(get, server):
    """A damaged module is not served, neither its archive nor its page, and the log says why."""
    for path in (f"damaged/3{COMPRESSED}", "damaged/3.tar.gz", "damaged/3"):
        answer = get(path)
        assert (answer.status_code, answer.headers["content-type"][:10]) == (503, "text/plain")
        assert "saved_model.pb" in answer.text
    assert "damaged/3" in server.log.read_text()


OUTSIDE = {
    "parents": "/google/../../secret",
    "encoded_slash": "/..%2fsecret",
    "encoded_absolute": "/%2f{root}%2f..%2fsecret",
    "nul": f"/{STEM}/3%00.tar.gz",
    "not_utf8": f"/{STEM}/%ff%fe",
    "file": f"/{STEM}/3/saved_model.pb",
    "provenance": f"/{STEM}/3/{formats.PROVENANCE}",
    "many": "/" + "a/" * 30_000,
    "static": "/~/static/%2e%2e/app.py",
    "static_absolute": "/~/static//etc/passwd",
    "pictures": "/~/pictures/..%2f..%2f..%2f..%2fsecret",
}


@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
def test_outside(server, root, path):
    """No path leads to other files than those of handles and pages."""
    for end in ("", COMPRESSED, ".tar.gz"):
        status, body = raw(server, path.format(root=root) + end)
        assert status in (400, 404)
        for content in (b"nobody may read", b"root:", b"import", b"tensorflow"):
            assert content not in body
        assert len(body) < 5000


def test_archive_that_was_removed(get, root, packed):
    """An archive that somebody removed from the temporary directory is packed again."""
    path = f"{STEM}/3{COMPRESSED}"
    assert get(path).content == packed
    for archive in (root.parent / "home/tmp").rglob("*.tar.gz"):
        archive.unlink()
    assert get(path).content == packed


def test_odd_names(get, root, stem):
    """A name that no text can hold does not break the page."""
    libraries = {"\ud800": "\ud800"}
    record = dataclasses.replace(hub.record_of(stem / "3"), libraries=libraries)
    hub.put(record, root / "odd/3", content=b"")
    answer = get("odd/3", Accept="text/html")
    shutil.rmtree(root / "odd")
    assert answer.status_code == 200
    # It has no preview either, and the reason has no folder of this machine.
    assert str(root) not in answer.text


@pytest.mark.parametrize("name", ["inception_v9", "\ud800", "<script>"])
def test_unknown_network(get, root, stem, name):
    """A module of an unknown network is not served, and everybody is told why."""
    record = dataclasses.replace(hub.record_of(stem / "3"), model=name)
    hub.put(record, root / "unknown/3", content=b"")
    modules = {module["handle"]: module for module in get("index.json").json()["modules"]}
    index, page = get("", Accept="text/html"), get("unknown/3", Accept="text/html")
    shutil.rmtree(root / "unknown")
    assert "model: expected one of inception_v1, " in modules["unknown/3"]["problem"]
    assert index.status_code == 200
    assert page.status_code == 503
    for answer in (index, page):
        assert "model: expected one of inception_v1, " in answer.text
        assert "<script>'" not in answer.text


def test_index_for_machines(get, server, stem):
    """The index in JSON has every module, damaged ones too, and all facts of the index page."""
    modules = {module["handle"]: module for module in get("index.json").json()["modules"]}
    assert set(modules) == {*(f"{STEM}/{version}" for version in contract.VERSIONS), "damaged/3"}
    assert "saved_model.pb" in modules["damaged/3"]["problem"]
    for version in contract.VERSIONS:
        module = modules[f"{STEM}/{version}"]
        promise = hub.record_of(stem / str(version)).promise()
        assert module["url"] == f"{server.url}/{STEM}/{version}"
        assert (module["version"], module["contract"]) == (version, version)
        assert module["format"] == promise.format.name
        assert module["num_parameters"] == promise.network.num_parameters
        assert (module["status"], module["problem"]) == ("synthetic", None)
        assert requests.get(module["archive"], timeout=60).status_code == 200


def test_host(get):
    """URLs of modules have the host of the request."""
    for host in ("hub.example:8443", "[::1]:1"):
        urls = [module["url"] for module in get("index.json", Host=host).json()["modules"]]
        assert all(url.startswith(f"http://{host}/") for url in urls)


PAGES = ("", "google", f"{STEM}/1", f"{STEM}/3", f"{STEM}/5", "damaged/3", "absent")


@pytest.mark.parametrize("path", PAGES)
def test_pages(get, path):
    """A page is strict HTML with unique ids, and neither it nor its headers let anything in from elsewhere."""
    answer = get(path, Accept="text/html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src 'self';")
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    elements = [e for e in parser.parse(answer.text).iter() if isinstance(e.tag, str)]
    ids = [e.get("id") for e in elements if "id" in e.attrib]
    assert sorted(ids) == sorted(set(ids) - {""})
    assert {e.get("href")[1:] for e in elements if e.get("href", "").startswith("#")} <= set(ids)
    sources = [e.get("src") for e in elements if e.tag in {"img", "script"}]
    sources += [e.get("href") for e in elements if e.tag == "link"]
    assert sources
    assert all(source.startswith("/~/") for source in sources)
    assert not [e for e in elements if e.tag == "style" or "style" in e.attrib]
    assert not [e for e in elements if e.tag == "script" and e.text]
    assert not [key for e in elements for key in e.attrib if key.startswith("on")]


def test_health(get):
    """The health check gets `ok`."""
    assert get("healthz").text == "ok\n"
