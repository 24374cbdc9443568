"""Where a module came from, written and read."""

import dataclasses
import hashlib
import json
import re

import pytest

from slimhub.signatures.contract import contract, formats, network
from slimhub.signatures.module.provenance import STATUSES, File, from_json, sha256

URL = "https://storage.example/net.tar.gz"


@pytest.fixture(scope="module", params=contract.TASKS)
def text(request, family) -> str:
    """The text of a record as it is in a module."""
    return (family("stem", request.param, 3) / formats.PROVENANCE).read_text()


@pytest.mark.parametrize("status", STATUSES)
def test_round_trip(text, status):
    """A record that is read equals the one that was written, types and order and all."""
    url = URL if status == "downloaded" else None
    record = dataclasses.replace(from_json(text), status=status, url=url)
    read = from_json(record.to_json())
    assert read == record
    assert read.promise() == record.promise()
    assert read.to_json() == record.to_json()
    assert read.weights == STATUSES[status].replace("{url}", URL)


@pytest.mark.parametrize(
    "url",
    [None, "", "http://storage.example/a", "ftp://a", "https://", "https://a b", "https://a\n"],
)
def test_bad_url(text, url):
    """A downloaded module, and no other, has a URL of https."""
    record = dataclasses.replace(from_json(text), status="downloaded", url=url)
    with pytest.raises(ValueError, match=r"^url: "):
        from_json(record.to_json())


def test_file(tmp_path):
    """A file is recorded by its name, or the one that is given, its size and its SHA-256."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    found = File(name="file", num_bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())
    assert File.read(path) == found
    assert File.read(path, name="a/b") == dataclasses.replace(found, name="a/b")
    assert sha256(path) == found.sha256


def test_no_time_and_no_path(text):
    """A record has no time and no path in it."""
    for value in re.findall(r'"([^"\\]*)"', text):
        assert not re.match(r"~?/|file:|[A-Za-z]:\\", value), value
        assert not re.search(r"\d\d:\d\d|20\d\d-\d\d-\d\d", value.replace("2016_08_28", "")), value
    # Nor the time in seconds.
    assert not re.search(r"\b1[789]\d{8}\b", text)


MALFORMED = [
    # Path of a value in the record, another value (None: no value), and what the message begins with.
    ("handle", None, "the record: missing: handle"),
    ("num_classes", None, "the record: missing: num_classes"),
    ("weights", None, "weights: "),
    ("seal", "x", "the record: unknown: seal"),
    ("contract", 2, "contract: "),
    ("version", 10**6, "version: "),
    ("version", "3", "version: "),
    ("version", True, "version: "),
    ("converted_from", ["float16", "float16"], "converted_from: "),
    ("task", "detection", "task: "),
    ("task", "feature_vector", "num_classes: "),
    ("num_classes", 0, "num_classes: "),
    ("num_classes", 10**6 + 1, "num_classes: "),
    ("num_classes", 1001.0, "num_classes: "),
    ("status", "good", "status: "),
    ("url", URL, "url: "),
    ("weights", "fine", "weights: "),
    ("checkpoint.1", "x", "checkpoint[1]: "),
    ("moving_averages", 0, "moving_averages: "),
    ("libraries.tensorflow", 2, "libraries['tensorflow']: "),
    ("labels", ["a"], "labels: "),
    ("labels_file", "../labels.txt", "labels_file: "),
]


@pytest.mark.parametrize(("path", "value", "says"), MALFORMED)
def test_malformed(family, path, value, says):
    """A record with a wrong value is a ValueError that begins with the place of the value."""
    directory = family("stem", "classification", 3)
    record = json.loads((directory / formats.PROVENANCE).read_text())
    inner = record
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        inner = inner[key]
    inner[last] = value
    if value is None:
        del inner[last]
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        from_json(json.dumps(record))


@pytest.mark.parametrize(
    "content", ["", "{'handle': 1}", "[]", "null", "{}", "[" * 100_000, '{"a": NaN}'], ids=len
)
def test_no_record(content):
    """A text that is no record is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        from_json(content)


def older(text: str) -> dict:
    """Return a record as earlier releases wrote it: it describes the network, and has a sum of itself."""
    record = json.loads(text)
    num_classes = record.pop("num_classes")
    logits = num_classes and {"name": "a:0", "shape": [None, num_classes], "dtype": "float32"}
    interface = {"scope": "InceptionV1", "image_size": [32, 32], "logits": logits}
    return {**record, "interface": interface, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def test_older_record(text):
    """A record of an older module gives that which is written now."""
    assert from_json(json.dumps(older(text))) == from_json(text)


@pytest.mark.parametrize(
    "interface", [None, [], {}, {"logits": 1}, {"logits": {"shape": []}}, {"logits": {"shape": 1}}]
)
def test_malformed_older_record(family, interface):
    """A record of an older module that does not tell the number of its classes is a ValueError."""
    text = (family("stem", "classification", 3) / formats.PROVENANCE).read_text()
    record = {**older(text), "interface": interface}
    with pytest.raises(ValueError, match="num_classes"):
        from_json(json.dumps(record))


def test_unknown_network(text):
    """A record of a network without a contract, as of a later release, is read, but promises nothing."""
    record = dataclasses.replace(from_json(text), model="inception_v9")
    assert from_json(record.to_json()) == record
    with pytest.raises(ValueError, match=r"^model: "):
        record.promise()
    frozen = network.get("stem")
    assert record.promise(frozen=frozen) == from_json(text).promise()
