"""signatures/provenance.py: where a module came from, written and read."""

import dataclasses
import hashlib
import json
import re

import pytest
from stem import signed

from slimhub.signatures import contract, formats
from slimhub.signatures.interface import Interface, TensorSpec
from slimhub.signatures.provenance import STATUSES, File, Provenance, from_json, sha256

SHA256 = "0123456789abcdef" * 4


def provenance(task="classification", **changes):
    logits = TensorSpec(name="Net/Logits/SpatialSqueeze:0", shape=(None, 1001))
    fields = dict(
        handle=f"google/imagenet/net/{task}/3",
        model="net",
        task=task,
        version=3,
        contract=3,
        status="unverified",
        checkpoint=(
            File(name="net.tar.gz", num_bytes=123, sha256=SHA256),
            File(name="net.ckpt", num_bytes=456, sha256=SHA256[::-1]),
        ),
        moving_averages=False,
        files=(File(name="variables/variables.index", num_bytes=7, sha256=SHA256),),
        parity_tolerance=1e-5,
        libraries={"tensorflow": "2.21.0", "slimhub": "0.1.0"},
        interface=Interface(
            scope="Net",
            image_size=(224, 192),
            min_image_size=(1, 1),
            input_scale=2.0,
            input_offsets=(1.0,),
            batch_norm_decay=0.9997,
            weight_decay=0.00004,
            num_batch_norms=2,
            num_regularization_losses=3,
            num_variables=8,
            num_trainable_variables=4,
            num_parameters=900,
            behind_dropout=(),
            feature_vector=TensorSpec(name="hub_output/x:0", shape=(None, 64)),
            logits=logits if task == "classification" else None,
            predictions=logits if task == "classification" else None,
            end_points={
                "Net/pool": TensorSpec(name="Net/pool:0", shape=(None, None, None, 64)),
                "Net/mask": TensorSpec(name="Net/mask:0", shape=(), dtype="int64"),
            },
        ),
        labels="Class 0 is nothing." if task == "classification" else None,
        labels_file=None,
    )
    return Provenance(**{**fields, **changes})


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("task", contract.TASKS)
def test_round_trip(task, status):
    """What is read is what was written, types and all."""
    record = provenance(task, status=status)
    found = from_json(record.to_json())
    assert found == record
    assert found.promise() == record.promise()
    assert found.to_json() == record.to_json()
    assert found.weights == STATUSES[status]
    assert type(found.interface.image_size) is tuple


def test_order():
    """End points stay in the network's order."""
    record = provenance()
    end_points = dict(reversed(record.interface.end_points.items()))
    interface = dataclasses.replace(record.interface, end_points=end_points)
    for one in (record, dataclasses.replace(record, interface=interface)):
        found = from_json(one.to_json()).interface.end_points
        assert list(found) == list(one.interface.end_points)


def test_weights_in_words():
    """The record says in words what its status means, and loudly if the weights are untrained."""
    record = json.loads(provenance(status="synthetic").to_json())
    assert record["status"] == "synthetic"
    assert record["weights"].startswith("UNTRAINED")


def test_file(tmp_path):
    """A file is recorded by its name, or the one that is given, its size and its SHA-256."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    found = File(name="file", num_bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())
    assert File.read(path) == found
    assert File.read(path, name="a/b") == dataclasses.replace(found, name="a/b")
    assert sha256(path) == found.sha256


@pytest.mark.xdist_group("inception_v1-3")
def test_real_module(module):
    """The record of a real module has no time and no path in it, and is what is read from it."""
    directory = module("inception_v1", "classification", 3)
    text = (directory / formats.PROVENANCE).read_text()
    assert from_json(text).to_json() == text
    strings = re.findall(r'"([^"\\]*)"', text)
    assert "inception_v1.ckpt" in strings
    for value in strings:
        assert not re.match(r"~?/|file:|[A-Za-z]:\\", value), value
        assert not re.search(r"\d\d:\d\d|20\d\d-\d\d-\d\d", value), value
    # Nor the time in seconds.
    assert not re.search(r"\b1[789]\d{8}\b", text)


def changed(*path, to):
    """The text of a record with one value changed, or without it."""
    record = json.loads(provenance().to_json())
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(record)


SPEC = {"name": "a:0", "shape": [1], "dtype": "float32"}
MALFORMED = {
    "empty": ("", "Expecting value"),
    "not_json": ("{'handle': 1}", "Expecting property name"),
    "list": ("[]", "the record: expected an object, got []"),
    "null": ("null", "the record: expected an object, got None"),
    "deep": ("[" * 100_000, "nested too deeply"),
    "momentum_without_norms": (
        changed("interface", "num_batch_norms", to=0),
        "interface.batch_norm_decay: expected one with batch norms only, got 0.9997 with 0",
    ),
    "two_offsets": (
        changed("interface", "input_offsets", to=[1.0, 2.0]),
        "interface.input_offsets: expected 1 or 3, got 2",
    ),
    "empty_record": ("{}", "the record: missing: checkpoint, contract, files, handle"),
    "missing": (changed("handle", to=None), "the record: missing: handle"),
    "missing_inside": (changed("interface", "scope", to=None), "interface: missing: scope"),
    "missing_words": (changed("weights", to=None), "weights: with the status unverified, expected"),
    "unknown": (changed("seal", to="x"), "the record: unknown: seal"),
    "unknown_inside": (changed("interface", "seal", to="x"), "interface: unknown: seal"),
    "contract_2": (changed("contract", to=2), "contract: expected one of 1, 3, 5, got 2"),
    "no_contract": (changed("contract", to=None), "the record: missing: contract"),
    "version_0": (changed("version", to=0), "version: expected 1 to 999999, got 0"),
    "many_versions": (changed("version", to=10**6), "version: expected 1 to 999999, got 1000000"),
    "version_in_words": (changed("version", to="3"), "version: expected an integer, got '3'"),
    "version_is_true": (changed("version", to=True), "version: expected an integer, got True"),
    "task": (
        changed("task", to="detection"),
        "task: expected one of classification, feature_vector",
    ),
    "other_task": (changed("task", to="feature_vector"), "interface.logits: expected it in"),
    "status": (changed("status", to="good"), "status: expected one of verified, pinned, unverif"),
    "other_words": (changed("weights", to="fine"), "UNVERIFIED: not known to be the published"),
    "handle": (changed("handle", to=["x"]), "handle: expected a string, got ['x']"),
    "file": (changed("checkpoint", 1, to="x"), "checkpoint[1]: expected an object, got 'x'"),
    "files": (changed("checkpoint", to={}), "checkpoint: expected an array, got {}"),
    "other_layout": (json.dumps(json.loads(provenance().to_json())), "it was changed after it was"),
    "moving_averages": (changed("moving_averages", to=0), "expected true or false, got 0"),
    "size_of_file": (
        changed("checkpoint", 0, "num_bytes", to=1.5),
        "checkpoint[0].num_bytes: expected an integer, got 1.5",
    ),
    "library": (
        changed("libraries", "tensorflow", to=2),
        "libraries['tensorflow']: expected a string",
    ),
    "image_size": (
        changed("interface", "image_size", to=[224]),
        "interface.image_size: expected 2 items, got 1",
    ),
    "image_height": (
        changed("interface", "image_size", 0, to="224"),
        "interface.image_size[0]: expected an integer, got '224'",
    ),
    "hostile_end_point": (
        changed("interface", "end_points", to={'x"]\n# a': SPEC}),
        "interface.end_points: expected names like Scope/Layer",
    ),
    "labels_file": (
        changed("labels_file", to="../labels.txt"),
        "labels_file: expected 'assets.extra/labels.txt', got '../labels.txt'",
    ),
    "labels": (changed("labels", to=["a"]), "labels: expected a string, got ['a']"),
    "no_vector": (
        changed("interface", "logits", "shape", to=[]),
        "interface.logits: expected two dimensions, got float32 []",
    ),
    "decay": (
        changed("interface", "batch_norm_decay", to="0.9997"),
        "interface.batch_norm_decay: expected a float, got '0.9997'",
    ),
    "end_point": (
        changed("interface", "end_points", "Net/pool", "shape", 3, to="64"),
        "interface.end_points['Net/pool'].shape[3]: expected an integer, got '64'",
    ),
}


def test_own_sum():
    """The record's own sum is that of the record without it, as it is written."""
    text = provenance().to_json()
    assert signed(json.loads(text)) == text


@pytest.mark.parametrize("place", range(0, len(provenance().to_json()), 41))
def test_flipped_bit(place):
    """A record in which any byte was changed is told from the one that was written."""
    text = bytearray(provenance().to_json().encode())
    text[place] ^= 1
    with pytest.raises(ValueError):  # noqa: PT011
        from_json(text.decode())


def test_changed_value():
    """A record whose values were changed is refused with the sum that it should have."""
    with pytest.raises(
        ValueError, match=r"it was changed after .* expected the sha256 [0-9a-f]{64}"
    ):
        from_json(changed("libraries", "tensorflow", to="2.16.0"))


@pytest.mark.parametrize(("text", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(text, says):
    """A record that is malformed in any way is a ValueError that says where and how."""
    with pytest.raises(ValueError, match=re.escape(says)):
        from_json(text)
