"""Every place that weights may come from, and how certain their origin is."""

import dataclasses
import hashlib
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from bad_archives import MEMBER, entry, tar_gz
from checkpoints import write_v2

from slimhub.export.checkpoints import resolve as checkpoints
from slimhub.export.checkpoints import restore, synthetic
from slimhub.export.errors import SourceError
from slimhub.models import catalog
from slimhub.signatures.module.provenance import File

V1 = catalog.get("inception_v1")
WEIGHTS = b"weights" * 1000
ARRAYS = {"a": np.arange(3, dtype=np.float32), "b": np.float32(2)}


PUBLISHED = tar_gz(entry(content=WEIGHTS))
OTHER = tar_gz(entry(content=b"my own weights"))
SHARD = "model.data-00000-of-00001"
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


PUBLISHED_MODEL = dataclasses.replace(
    V1,
    archive=dataclasses.replace(
        V1.archive, num_bytes=len(PUBLISHED), sha256=hashlib.sha256(PUBLISHED).hexdigest()
    ),
)


@pytest.fixture
def workdir(tmp_path) -> Path:
    return put(tmp_path / "workdir", {})


@pytest.fixture
def resolve(workdir):
    """Return a function that resolves a source, by default as if `PUBLISHED` were published."""

    def resolve(source, model=PUBLISHED_MODEL) -> checkpoints.Checkpoint:
        return checkpoints.resolve(str(source), model=model, workdir=workdir)

    return resolve


def test_file(resolve, tmp_path, workdir):
    """A V1 file is used where it is, unverified."""
    path = put(tmp_path, {"model.ckpt-1234": WEIGHTS}) / "model.ckpt-1234"
    found = resolve(path)
    assert found.path == path
    assert found.status == "unverified"
    assert found.files == sources({"model.ckpt-1234": WEIGHTS})
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".data-00001-of-00002"])
def test_prefix(resolve, tmp_path, suffix):
    """The prefix of a V2 checkpoint, or any of its files, names its index and all its shards."""
    put(tmp_path, {**V2_FILES, "model.meta": b"graph", "model2.index": b"other"})
    found = resolve(tmp_path / f"model{suffix}")
    assert found.path == tmp_path / "model"
    assert found.status == "unverified"
    assert found.files == sources(V2_FILES)


def test_graph_of_a_v1_file(resolve, tmp_path):
    """The graph that a training wrote beside a V1 file names that file."""
    put(tmp_path, {"model.ckpt-9": WEIGHTS, "model.ckpt-9.meta": b"graph"})
    found = resolve(tmp_path / "model.ckpt-9.meta")
    assert found.files == sources({"model.ckpt-9": WEIGHTS})


@pytest.mark.parametrize("name", [V1.archive.name, "renamed.tar.gz", "weights.tgz"])
@pytest.mark.parametrize(
    ("data", "content", "status"),
    [(PUBLISHED, WEIGHTS, "verified"), (OTHER, b"my own weights", "unverified")],
    ids=["published", "other"],
)
def test_archive(resolve, tmp_path, workdir, name, data, content, status):
    """An archive is unpacked; its SHA-256, not its name, says whether it is the published one."""
    found = resolve(put(tmp_path, {name: data}) / name)
    assert found.path == workdir / MEMBER
    assert found.path.read_bytes() == content
    assert found.status == status
    assert found.files == sources({name: data, MEMBER: content})


@pytest.mark.parametrize("preferred", IN_DIRECTORY)
def test_directory(resolve, tmp_path, preferred):
    """In a directory, the first of the accepted names is used."""
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


def test_synthetic(archives, workdir, resolve):
    """Synthetic weights come from an archive of their own, and have their own status."""
    found = resolve("synthetic", V1)
    data = (archives / V1.archive.name).read_bytes()
    assert found.status == "synthetic"
    assert found.path == workdir / MEMBER
    assert found.files == sources({V1.archive.name: data, MEMBER: found.path.read_bytes()})


@pytest.mark.parametrize("save", [synthetic.write_checkpoint, write_v2])
def test_path_that_looks_like_a_pattern(tmp_path, resolve, save):
    """A path that TensorFlow would take for a pattern is read literally."""
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


# What is there, what `--checkpoint` names below it, and the reason, path and findings of the error.
OTHERS = ("h5", "keras", "pb", "pbtxt", "pt", "pth", "safetensors", "tflite", "onnx")
V2 = {"model.ckpt-9.index": b"", "model.ckpt-10.index": b""}
META = {"model.ckpt-10.meta": b"", "model.ckpt-9.index": b""}
ERRORS = {
    "nothing": ({}, "a/b.ckpt", "absent", "a/b.ckpt", ()),
    "nul": ({}, "a\0b.ckpt", "absent", "a\0b.ckpt", ()),
    "pattern": ({"model.ckpt": b""}, "*.ckpt", "absent", "*.ckpt", ("model.ckpt",)),
    "below_a_file": ({"model.ckpt": b""}, "model.ckpt/a", "absent", "model.ckpt/a", ()),
    "empty_directory": ({}, "", "absent", "", ()),
    "other_directory": ({"inception_v2.ckpt": b""}, "", "absent", "", ("inception_v2.ckpt",)),
    "saved_model": ({"saved_model.pb": b"graph"}, "saved_model.pb", "absent", "", ()),
    "newest_v2": (V2, "model.ckpt", "absent", "model.ckpt", ("model.ckpt-9", "model.ckpt-10")),
    "meta": (META, "model.ckpt-10.meta", "absent", "model.ckpt-10", ("model.ckpt-9",)),
    "index_only": ({"model.index": b""}, "model", "incomplete", "model", ("model.index",)),
    "data_only": ({SHARD: b""}, "model", "incomplete", "model", (SHARD,)),
    **{
        name: ({name: b"data"}, name, "other format", name, ())
        for name in (f"a.{suffix}" for suffix in OTHERS)
    },
}


@pytest.mark.parametrize(
    ("files", "source", "reason", "path", "found"), ERRORS.values(), ids=ERRORS
)
def test_no_checkpoint(tmp_path, resolve, files, source, reason, path, found):
    """Where there is no checkpoint, the error says where it was looked for and what is there."""
    directory = put(tmp_path / "my run's", files)
    with pytest.raises(SourceError) as caught:
        resolve(directory / source)
    error = caught.value
    assert (error.reason, error.path, error.found) == (reason, directory / path, found)
    assert error.exit_code == 3
    if found and reason == "absent":
        [flag] = re.findall("--checkpoint=.+$", str(error))
        assert shlex.split(flag) == [f"--checkpoint={directory / found[-1]}"]


def test_message(tmp_path, resolve):
    """The message says which names were tried, and what the directory holds."""
    put(tmp_path, {"flowers.h5": b""})
    with pytest.raises(SourceError) as caught:
        resolve(tmp_path)
    assert str(caught.value) == (
        f"There is no checkpoint of inception_v1 in {tmp_path}. Tried: inception_v1_2016_08_28.tar.gz, "
        "inception_v1.tar.gz, inception_v1.ckpt, inception_v1.ckpt.index, inception_v1.index, "
        "checkpoint. It holds flowers.h5, a Keras file, of other networks than TF-Slim's, not a "
        "checkpoint. Expected a TensorFlow 1 checkpoint of a TF-Slim network: a V1 file, or the prefix "
        "of .index and .data-*-of-* files."
    )


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("gone"),
        lambda path: path.symlink_to(path),
    ],
    ids=["directory", "fifo", "dangling", "circular"],
)
@pytest.mark.parametrize("name", ["model.ckpt", "a.tar.gz"])
def test_no_file(tmp_path, resolve, name, make):
    """Something other than a file is no checkpoint, and isn't opened."""
    make(tmp_path / name)
    with pytest.raises(SourceError) as caught:
        resolve(tmp_path / name)
    assert (caught.value.reason, caught.value.path) == ("absent", tmp_path / name)


UNUSABLE = ("", "n" * 300, "/proc/self/mem", "gs://bucket/model.ckpt", "htp://host/a.tar.gz")
UNUSABLE += ("http://[::1/a.tar.gz", "file://model.ckpt", "file://host/model.ckpt", "file://")


@pytest.mark.parametrize("source", UNUSABLE)
def test_unusable_source(resolve, source):
    """A flag that can't name a checkpoint is an error that repeats it."""
    with pytest.raises(SourceError) as caught:
        resolve(source)
    assert (caught.value.reason, caught.value.path) == ("unusable", None)
    assert str(caught.value).startswith(f"--checkpoint={source} can't be used: ")


@pytest.mark.parametrize("name", [".index", ".meta"])
def test_nothing_but_an_ending(tmp_path, resolve, name):
    """A file whose whole name is an ending of a checkpoint's files is a V1 checkpoint."""
    (tmp_path / name).write_bytes(b"data")
    assert resolve(str(tmp_path / name)).path == tmp_path / name
