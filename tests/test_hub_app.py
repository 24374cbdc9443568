"""What the server answers: archives as TF Hub's protocol has it, and errors that help."""

import dataclasses
import hashlib
import http.client
import io
import json
import shutil
import tarfile
import urllib.parse

import hub
import pytest
import requests
from hub import STEM

from slimhub.export import module_archive
from slimhub.signatures import formats

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
    """Fetches a path from the server."""
    session = requests.Session()

    def get(path: str, *, method="GET", **headers) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{server.url}/{path}"
        return session.request(method, url, headers=names, allow_redirects=False, timeout=60)

    return get


def raw(server, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of a path that is sent as it is."""
    host = urllib.parse.urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.putrequest(method, path)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture(scope="module")
def packed(stem, tmp_path_factory):
    """The archive of version 3, as it is made without a server."""
    path = tmp_path_factory.mktemp("packed") / "3.tar.gz"
    module_archive.pack(stem / "3", into=path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        f"{STEM}/3{COMPRESSED}",
        f"{STEM}/3/{COMPRESSED}",
        f"{STEM}/3?tf-hub-format=uncompressed,compressed",
        f"{STEM}/3.tar.gz",
        f"{STEM}/3.tar.gz{COMPRESSED}",
    ],
)
def test_archive(get, packed, path):
    """A handle leads to the archive of the module, whose ETag is its SHA-256."""
    answer = get(path)
    assert answer.status_code == 200
    assert answer.content == packed
    assert answer.headers["etag"] == f'"{hashlib.sha256(packed).hexdigest()}"'
    assert answer.headers["content-length"] == str(len(packed))
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers


def test_head(get, packed):
    """HEAD tells size and sum, and sends nothing."""
    answer = get(f"{STEM}/3{COMPRESSED}", method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(packed))
    assert answer.headers["etag"] == f'"{hashlib.sha256(packed).hexdigest()}"'


def test_ranges(get, packed):
    """Ranges are given, so that a download may go on where it broke off."""
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
    # It would be that of the packing.
    assert "last-modified" not in get(path, method="HEAD").headers
    for ignored in ("items=0-5", "bytes=", "bytes=a-b", "5-9"):
        assert get(path, Range=ignored).content == packed
    assert get(path, Range=f"bytes={total}-").status_code == 416


def test_not_modified(get):
    """Who has the archive already is told so."""
    path = f"{STEM}/3{COMPRESSED}"
    etag = get(path, method="HEAD").headers["etag"]
    for condition in (etag, f'"a", {etag}', f"W/{etag}", "*"):
        answer = get(path, If_None_Match=condition)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert get(path, If_None_Match='"another"').status_code == 200


def test_uncompressed(get):
    """There is nothing to read without downloading it, which the protocol has a status for."""
    answer = get(f"{STEM}/3?tf-hub-format=uncompressed")
    assert answer.status_code == 406
    assert "tf-hub-format=compressed" in answer.text
    assert get(f"{STEM}/4?tf-hub-format=uncompressed").status_code == 404


@pytest.mark.parametrize("path", [f"{STEM}/4{COMPRESSED}", f"{STEM}/4", f"{STEM}/4.tar.gz"])
def test_unknown(get, path):
    """An unknown handle is not found, and the nearest ones are named, to programs and to people."""
    answer = get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.splitlines()[1:] == [
        "The nearest are:",
        f"{STEM}/5",
        f"{STEM}/3",
        f"{STEM}/1",
    ]
    page = get(path, Accept="text/html,*/*")
    assert page.status_code == 404
    assert f'<a href="/{STEM}/3"' in page.text


def test_no_version(get):
    """A handle without a version gives no archive, which would be kept for another's."""
    assert get(f"{STEM}{COMPRESSED}").status_code == 404


def test_damaged(get, server):
    """A damaged module is not served, neither its archive nor its page, and the log says why."""
    for path in (f"damaged/3{COMPRESSED}", "damaged/3.tar.gz", "damaged/3"):
        answer = get(path)
        assert answer.status_code == 503
        assert "damaged/3 is not as it was published: saved_model.pb: expected " in answer.text
    assert "damaged/3 is not served: saved_model.pb: expected " in server.log.read_text()


OUTSIDE = {
    "parent": "/../secret",
    "parents": "/google/../../secret",
    "encoded": "/%2e%2e/secret",
    "encoded_slash": "/..%2fsecret",
    "encoded_twice": "/%252e%252e%252fsecret",
    "backslash": "/..%5csecret",
    "absolute": "//{root}/../secret",
    "encoded_absolute": "/%2f{root}%2f..%2fsecret",
    "nul": f"/{STEM}/3%00.tar.gz",
    "not_utf8": f"/{STEM}/%ff%fe",
    "file": f"/{STEM}/3/saved_model.pb",
    "provenance": f"/{STEM}/3/{formats.PROVENANCE}",
    "long": "/" + "a" * 60_000,
    "many": "/" + "a/" * 30_000,
    "static": "/~/static/../app.py",
    "static_encoded": "/~/static/%2e%2e/app.py",
    "static_absolute": "/~/static//etc/passwd",
    "picture": "/~/pictures/%2e%2e/secret",
    "pictures": "/~/pictures/..%2f..%2f..%2fsecret/x",
}


@pytest.mark.parametrize("query", ["", COMPRESSED, ".tar.gz"])
@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
def test_outside(server, root, path, query):
    """No path leads anywhere but to handles and what pages need."""
    status, body = raw(server, path.format(root=root) + query)
    assert status in (400, 404)
    for content in (b"nobody may read", b"root:", b"import", b"tensorflow"):
        assert content not in body
    assert len(body) < 5000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_read_only(server, stem, method):
    """Nothing can be changed."""
    for path in ("/", f"/{STEM}/3", f"/{STEM}/3.tar.gz", "/index.json"):
        assert raw(server, path, method=method)[0] == 405


def test_archive_that_was_removed(get, root, packed):
    """An archive that somebody removed from the temporary directory is packed again."""
    path = f"{STEM}/3{COMPRESSED}"
    assert get(path).content == packed
    for archive in (root.parent / "home/tmp").rglob("*.tar.gz"):
        archive.unlink()
    assert get(path).content == packed


def test_odd_names(get, root, stem):
    """A name that no text can hold breaks neither the index nor the page."""
    record = dataclasses.replace(hub.record_of(stem / "3"), model="\ud800", libraries={})
    hub.put(record, root / "odd/3", content=b"")
    names = [
        module["model"] for module in get("index.json").json()["modules"] if "odd" in str(module)
    ]
    assert names == ["\ud800"]
    assert get("", Accept="text/html").status_code == 200
    answer = get("odd/3", Accept="text/html")
    shutil.rmtree(root / "odd")
    assert answer.status_code == 200
    # It can't be drawn either, and says nothing of this machine.
    assert str(root) not in answer.text


def test_health(get):
    """Whoever watches the server is told that it is well."""
    assert get("healthz").text == "ok\n"


def test_index_for_machines(get, server, stem):
    """The index in JSON has every module, with what the index page shows, damaged ones among them."""
    modules = {module["handle"]: module for module in get("index.json").json()["modules"]}
    assert set(modules) == {f"{STEM}/1", f"{STEM}/3", f"{STEM}/5", "damaged/3"}
    assert "saved_model.pb" in modules["damaged/3"]["problem"]
    for version in (1, 3, 5):
        found, record = modules[f"{STEM}/{version}"], hub.record_of(stem / str(version))
        assert found["url"] == f"{server.url}/{STEM}/{version}"
        assert (found["version"], found["contract"]) == (version, version)
        assert found["format"] == record.promise().format.name
        assert found["num_parameters"] == record.interface.num_parameters
        assert (found["status"], found["problem"]) == ("synthetic", None)
        assert requests.get(found["archive"], timeout=60).status_code == 200


def test_lists(get):
    """Any beginning of handles lists what is below it."""
    for path in ("", "google", "google/imagenet/stem", STEM, f"{STEM}/"):
        answer = get(path)
        assert answer.status_code == 200
        for version in (1, 3, 5):
            assert f'<a href="/{STEM}/{version}"' in answer.text
        assert ("damaged/3" in answer.text) == (path == "")


def test_headers(get):
    """Pages may load nothing from elsewhere, nor be guessed to be something else."""
    for path in ("", f"{STEM}/3", "absent", "~/static/script.js"):
        headers = get(path, Accept="text/html").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; img-src 'self';")


def test_new_module(get, root, stem):
    """What is published while the server runs is there at once, and what is removed is gone."""
    assert get("new/3").status_code == 404
    shutil.copytree(stem / "3", root / "new/3")
    assert get(f"new/3{COMPRESSED}").status_code == 200
    assert "new/3" in json.dumps(get("index.json").json())
    shutil.rmtree(root / "new")
    assert get(f"new/3{COMPRESSED}").status_code == 404


def test_replaced_module(get, root, stem):
    """Of a module that was replaced, the archive is the new one's, and the old one's when it is back."""
    sums = []
    for version in ("3", "5", "1", "3"):
        shutil.rmtree(root / "replaced", ignore_errors=True)
        shutil.copytree(stem / version, root / "replaced/3")
        content = get(f"replaced/3{COMPRESSED}").content
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            record = json.load(tar.extractfile(f"./{formats.PROVENANCE}"))
        assert record["version"] == int(version)
        sums.append(hashlib.sha256(content).hexdigest())
    shutil.rmtree(root / "replaced")
    assert len(set(sums)) == 3
    assert sums[0] == sums[3]
