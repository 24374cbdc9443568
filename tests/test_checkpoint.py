"""slimhub.export.checkpoint: every place that weights may come from, and how sure they are."""

import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from misbehaving_server import closed_url, fail, send, serving

from slimhub.export import checkpoint as checkpoints
from slimhub.export import restore, synthetic
from slimhub.export.errors import ArchiveError, DownloadError, SourceError
from slimhub.models import catalog
from slimhub.signatures.provenance import File

V1 = catalog.get("inception_v1")
MEMBER = "inception_v1.ckpt"
WEIGHTS = b"weights" * 1000
ARRAYS = {"a": np.arange(3, dtype=np.float32), "b": np.float32(2)}


def tar_gz(content=WEIGHTS, member=MEMBER) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


PUBLISHED = tar_gz()
OTHER = tar_gz(b"my own weights")
V2_FILES = {
    "model.index": b"index",
    "model.data-00000-of-00002": b"data",
    "model.data-00001-of-00002": b"more data",
}

# What a directory may hold, the preferred first, with the files that are then read.
IN_DIRECTORY = {
    "inception_v1_2016_08_28.tar.gz": [MEMBER],
    "inception_v1.tar.gz": [MEMBER],
    "inception_v1.ckpt": [],
    "inception_v1.ckpt.index": ["inception_v1.ckpt.data-00000-of-00001"],
    "inception_v1.index": ["inception_v1.data-00000-of-00001"],
}


def sources(files: dict[str, bytes]) -> tuple[File, ...]:
    return tuple(
        File(name=name, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    )


def put(directory: Path, files: dict[str, bytes]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return directory


def published_as(data: bytes, *urls: str) -> catalog.Model:
    """The catalog's record, if these bytes were the published archive."""
    archive = dataclasses.replace(
        V1.archive, urls=urls, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    return dataclasses.replace(V1, archive=archive)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no proxy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "slimhub"


@pytest.fixture
def workdir(tmp_path) -> Path:
    return put(tmp_path / "workdir", {})


@pytest.fixture
def resolve(workdir):
    def resolve(source, model=None) -> checkpoints.Checkpoint:
        source = None if source is None else str(source)
        model = model or published_as(PUBLISHED)
        return checkpoints.resolve(source, model=model, workdir=workdir)

    return resolve


@pytest.fixture
def serve():
    with serving() as serve:
        yield serve


def test_file(resolve, tmp_path, workdir):
    """A V1 file is taken as it is and where it is, unverified."""
    path = put(tmp_path, {"model.ckpt-1234": WEIGHTS}) / "model.ckpt-1234"
    found = resolve(path)
    assert found.path == path
    assert found.status == "unverified"
    assert found.files == sources({"model.ckpt-1234": WEIGHTS})
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", ".index"])
def test_prefix(resolve, tmp_path, suffix):
    """The prefix of a V2 checkpoint stands for its index and all its shards, and so does the index."""
    put(tmp_path, {**V2_FILES, "model.meta": b"graph", "model2.index": b"other"})
    found = resolve(tmp_path / f"model{suffix}")
    assert found.path == tmp_path / "model"
    assert found.status == "unverified"
    assert found.files == sources(V2_FILES)


def test_relative_path(resolve, tmp_path, monkeypatch):
    """A relative path starts from the current directory."""
    put(tmp_path / "weights", {"model.ckpt": WEIGHTS})
    monkeypatch.chdir(tmp_path)
    assert resolve("weights/model.ckpt").files == sources({"model.ckpt": WEIGHTS})


@pytest.mark.parametrize(
    "name", ["inception_v1_2016_08_28.tar.gz", "renamed.tar.gz", "weights.tgz"]
)
@pytest.mark.parametrize(
    ("data", "content", "status"),
    [(PUBLISHED, WEIGHTS, "verified"), (OTHER, b"my own weights", "unverified")],
    ids=["published", "other"],
)
def test_archive(resolve, tmp_path, workdir, name, data, content, status):
    """An archive is unpacked; its sum, not its name, tells whether it is the published one."""
    found = resolve(put(tmp_path, {name: data}) / name)
    assert found.path == workdir / MEMBER
    assert found.path.read_bytes() == content
    assert found.status == status
    assert found.files == sources({name: data, MEMBER: content})


@pytest.mark.parametrize("preferred", IN_DIRECTORY)
def test_directory(resolve, tmp_path, preferred):
    """Of what a directory holds, the first of the accepted names is taken."""
    names = list(IN_DIRECTORY)
    for name in names[names.index(preferred) :]:
        data = {other: b"data" for other in IN_DIRECTORY[name] if other != MEMBER}
        put(tmp_path, {name: OTHER, **data})
    put(tmp_path, {"inception_v2.ckpt": WEIGHTS, "model.ckpt": WEIGHTS})
    found = resolve(tmp_path)
    assert [file.name for file in found.files] == [preferred, *IN_DIRECTORY[preferred]]
    assert found.status == "unverified"


@pytest.mark.parametrize("source", ["weights.tar.gz", "inception_v1.ckpt", ""])
def test_file_url(resolve, tmp_path, source):
    """A file URL is a path, with its special characters quoted."""
    directory = put(tmp_path / "my weights#1", {"weights.tar.gz": PUBLISHED, MEMBER: WEIGHTS})
    url = (directory / source).as_uri()
    assert "%20" in url
    assert "%23" in url
    found = resolve(url)
    assert found.files[-1] == sources({MEMBER: WEIGHTS})[0]
    assert found.status == ("verified" if "tar" in source else "unverified")


def test_http_url(archives, serve, cache, workdir, resolve):
    """What a URL gives is verified, kept in the cache and unpacked."""
    data = (archives / V1.archive.name).read_bytes()
    url = serve(send(data)).url
    found = resolve(url, published_as(data, "http://127.0.0.1:9/never"))
    assert found.status == "verified"
    assert found.path == workdir / MEMBER
    assert found.files == sources({V1.archive.name: data, MEMBER: found.path.read_bytes()})
    assert (cache / V1.archive.name).read_bytes() == data
    assert len(restore.Reader(found.path).shapes) == 230


FAILURES = {"404": (fail(404), "HTTP 404"), "other_sum": (send(PUBLISHED[::-1]), "SHA-256")}


@pytest.mark.parametrize(("behave", "reason"), FAILURES.values(), ids=FAILURES)
def test_http_url_fails(serve, cache, resolve, behave, reason):
    """A URL that does not give the published archive is refused, with a way out."""
    url, elsewhere = serve(behave).url, serve(send(PUBLISHED))
    with pytest.raises(DownloadError) as caught:
        resolve(url, published_as(PUBLISHED, elsewhere.url))
    assert elsewhere.requests == []
    assert f"  {url}: {reason}" in str(caught.value)
    assert f"put it at {cache / V1.archive.name}\n" in str(caught.value)
    assert f"or pass --checkpoint=/path/to/{V1.archive.name}" in str(caught.value)
    assert caught.value.exit_code == 3
    assert not (cache / V1.archive.name).exists()


def test_http_url_refuses(resolve):
    """A URL where nobody listens is named in the error."""
    url = closed_url()
    with pytest.raises(DownloadError, match=f"  {url}: ConnectionError: .*Connection refused"):
        resolve(url)


def test_published_in_cache(cache, resolve):
    """Without a source, the published archive in the cache is taken, with no network."""
    put(cache, {V1.archive.name: PUBLISHED})
    found = resolve(None)
    assert found.status == "verified"
    assert found.files == sources({V1.archive.name: PUBLISHED, MEMBER: WEIGHTS})


def test_published_downloaded(serve, cache, resolve):
    """Without a source and with an empty cache, the published archive is downloaded, once."""
    broken, whole = serve(fail(404)), serve(send(PUBLISHED))
    model = published_as(PUBLISHED, broken.url, whole.url)
    assert resolve(None, model).status == "verified"
    (cache.parent.parent / "workdir" / MEMBER).unlink()
    assert resolve(None, model).files == sources({V1.archive.name: PUBLISHED, MEMBER: WEIGHTS})
    assert [len(server.requests) for server in (broken, whole)] == [1, 1]


def test_synthetic(archives, workdir, resolve):
    """Synthetic weights come from an archive of their own, which nothing else is taken for."""
    found = resolve("synthetic", V1)
    data = (archives / V1.archive.name).read_bytes()
    assert found.status == "synthetic"
    assert found.path == workdir / MEMBER
    assert found.files == sources({V1.archive.name: data, MEMBER: found.path.read_bytes()})


def save_v2(arrays, prefix: Path) -> None:
    """Writes a V2 checkpoint as people do, with a Saver."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        feeds, variables = {}, []
        for name, array in arrays.items():
            initial = tf.compat.v1.placeholder(array.dtype, array.shape)
            variables.append(tf.compat.v1.get_variable(name, initializer=initial))
            feeds[initial] = array
        session.run([variable.initializer for variable in variables], feeds)
        tf.compat.v1.train.Saver(variables).save(session, str(prefix), write_meta_graph=False)


def test_formats(checkpoint, tmp_path, resolve):
    """The same weights in the V1 and in the V2 format are restored to identical arrays."""
    first = restore.Reader(resolve(checkpoint("inception_v1")).path)
    expected = restore.restore(first, model=V1, shapes=first.shapes)
    save_v2(expected, tmp_path / "model.ckpt")
    second = restore.Reader(resolve(tmp_path / "model.ckpt").path)
    actual = restore.restore(second, model=V1, shapes=first.shapes)
    assert len(actual) == 230
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)


@pytest.mark.parametrize("save", [synthetic.write_checkpoint, save_v2])
def test_path_that_looks_like_a_pattern(tmp_path, resolve, save):
    """A path that TensorFlow would take for a pattern is read as what it is."""
    prefix = put(tmp_path / "run *", {}) / "model[1].ckpt"
    save(ARRAYS, prefix)
    found = resolve(prefix)
    assert {file.name.split("ckpt")[0] for file in found.files} == {"model[1]."}
    reader = restore.Reader(found.path)
    np.testing.assert_array_equal(reader.get("a"), ARRAYS["a"])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("a", [3])
        tf.compat.v1.train.Saver([variable]).restore(session, str(found.path))
        np.testing.assert_array_equal(session.run(variable), ARRAYS["a"])


# Of each source, what is there, and what the message has to say; `bad_flags.py` has many more.
ERRORS = {
    "empty_directory": (
        {},
        "",
        "There is no checkpoint of inception_v1 in {path}. Tried: inception_v1_2016_08_28.tar.gz, "
        "inception_v1.tar.gz, inception_v1.ckpt, inception_v1.ckpt.index, inception_v1.index, "
        "checkpoint. The directory holds no checkpoint.",
    ),
    "other_directory": (
        {"inception_v2.ckpt": WEIGHTS, "inception_v1.txt": b""},
        "",
        "There is no checkpoint of inception_v1 in {path}. Tried:",
    ),
    "index_only": (
        {"model.index": b""},
        "model",
        "{path} is half a V2 checkpoint: of its .index and .data-*-of-* files only model.index is",
    ),
    "data_only": (
        {"model.data-00000-of-00001": b""},
        "model",
        "{path} is half a V2 checkpoint: of its .index and .data-*-of-* files only model.data-000",
    ),
    "saved_model": (
        {"saved_model.pb": b"graph"},
        "",
        "It is a SavedModel; if TensorFlow 1 wrote it, its weights are a checkpoint: "
        "--checkpoint={path}/variables/variables",
    ),
    "keras_directory": (
        {"flowers.h5": b"", "flowers.keras": b""},
        "",
        "It holds files of Keras, flowers.h5, flowers.keras, whose weights are not those of TF-Slim's",
    ),
    "keras_file": ({"flowers.h5": b""}, "flowers.h5", "{path} is a file of Keras, whose weights"),
    "half_in_directory": ({"inception_v1.index": b""}, "", "{path}/inception_v1 is half a V2"),
}


@pytest.mark.parametrize(("files", "source", "expected"), ERRORS.values(), ids=ERRORS)
def test_no_checkpoint(tmp_path, resolve, files, source, expected):
    """Where there is no checkpoint, the error says what was looked for, and where."""
    directory = put(tmp_path / "weights", files)
    path = directory / source
    with pytest.raises(SourceError) as caught:
        resolve(path)
    assert expected.format(path=path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("data", "found"),
    [(tar_gz(member="inception_v2.ckpt"), "'inception_v2.ckpt' (file, "), (b"", "empty file")],
    ids=["other_member", "empty"],
)
def test_other_archive(tmp_path, resolve, workdir, data, found):
    """An archive that does not hold the network's checkpoint is refused with what it holds."""
    put(tmp_path, {"weights.tar.gz": data})
    with pytest.raises(ArchiveError) as caught:
        resolve(tmp_path / "weights.tar.gz")
    assert found in str(caught.value)
    assert MEMBER in str(caught.value)
    assert list(workdir.iterdir()) == []
