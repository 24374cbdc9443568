"""Contracts of networks: their files, and what is derived from them."""

import dataclasses
import json
import re

import pytest
from stem import STEM, STEMS

from slimhub.signatures.contract import network
from slimhub.signatures.contract.network import Variable

FIRST = "InceptionV1/Conv2d_1a_7x7"
KERNEL, BIASES = (f"InceptionV1/Logits/Conv2d_0c_1x1/{name}" for name in ("weights", "biases"))


@pytest.mark.parametrize("name", network.names())
def test_round_trip(name, tmp_path):
    """A contract that is written gives the bytes of its file, and is read as it was."""
    [frozen] = [path for folder in network.FOLDERS for path in folder.glob(f"{name}.json")]
    text = network.get(name).to_json()
    assert text == frozen.read_text()
    copy = tmp_path / "copy.json"
    copy.write_text(text)
    assert network.load(copy) == network.get(name)


def test_lines():
    """A file has a line for each end point and each variable, so that `diff` shows what has changed."""
    stem = network.get(STEM.name)
    lines = stem.to_json().splitlines()
    for key in (*stem.end_points, *stem.variables):
        assert sum(line.startswith(f"    {json.dumps(key)}: ") for line in lines) == 1


MALFORMED = [
    # Path of a value in the file, another value (...: no value), and how the reason begins.
    ("scope", ..., "the record: missing: scope"),
    ("classes", 5, "the record: unknown: classes"),
    ("image_size", [224], "image_size: "),
    ("image_size", [0, 224], "image_size: "),
    ("min_image_size", [224, 1025], "min_image_size: "),
    ("input_scale", "2", "input_scale: "),
    ("weight_decay", float("nan"), "NaN is no number"),
    ("input_offsets", [1.0, 2.0], "input_offsets: "),
    ("batch_norm_decay", None, "batch_norm_decay: "),
    ("variables", {}, "batch_norm_decay: "),
    ("head", None, "head and logits: "),
    ("logits", None, "head and logits: "),
    ("predictions>shape", [1001], "predictions: "),
    ("logits>shape", [None, 1, 1, 1001], "logits: "),
    ("feature_vector>shape>1", "192", "feature_vector.shape[1]: "),
    (f"end_points>{FIRST}>shape", [None, 64], f"end_points['{FIRST}']: "),
    (f"end_points>{FIRST}>dtype", ..., f"end_points['{FIRST}']: missing: dtype"),
    (f"variables>{KERNEL}>trainable", 1, f"variables['{KERNEL}'].trainable: "),
]


@pytest.mark.parametrize(("path", "value", "reason"), MALFORMED)
def test_malformed(tmp_path, path, value, reason):
    """A file with a wrong value is a ValueError that names the file and the place of the value."""
    record = json.loads(network.get(STEM.name).to_json())
    inner = record
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(">")]
    for key in parents:
        inner = inner[key]
    inner[last] = value
    if value is ...:
        del inner[last]
    file = tmp_path / "stem.json"
    file.write_text(json.dumps(record))
    with pytest.raises(
        ValueError, match=re.escape(f"{file} is no contract of a network: {reason}")
    ):
        network.load(file)


def test_predictions_alone():
    """Probabilities without logits are a ValueError; logits without probabilities are none."""
    stem = network.get(STEM.name)
    with pytest.raises(ValueError, match="predictions: expected none without logits"):
        network.check(dataclasses.replace(stem, head=None, logits=None))
    network.check(dataclasses.replace(stem, predictions=None))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000], ids=len)
def test_no_contract(tmp_path, content):
    """A file that is no record is a ValueError that names it; one that is absent is an OSError."""
    file = tmp_path / "stem.json"
    with pytest.raises(FileNotFoundError):
        network.load(file)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{file} is no contract of a network: ")):
        network.load(file)


def test_folders(tmp_path, monkeypatch):
    """A network is looked up by the name of its file in each of the folders, and nowhere else."""
    monkeypatch.setattr(network, "FOLDERS", network.FOLDERS[:1])
    published = network.names()
    assert "inception_v1" in published
    for absent in (STEM.name, "", "../networks/inception_v1", "inception_v1.json"):
        with pytest.raises(KeyError):
            network.get(absent)
    flowers = network.get("inception_v1").with_classes(5)
    (tmp_path / "flowers.json").write_text(flowers.to_json())
    network.FOLDERS.append(tmp_path)
    assert network.names() == tuple(sorted((*published, "flowers")))
    assert network.get("flowers") == flowers


def test_with_classes():
    """With other classes, the logits, predictions and variables of the head have another last size."""
    stem = network.get(STEM.name)
    assert stem.num_classes == 1001
    flowers = stem.with_classes(5)
    assert flowers.num_classes == 5
    assert flowers.logits.shape == flowers.predictions.shape == (None, 5)
    changed = {name: one for name, one in flowers.variables.items() if one != stem.variables[name]}
    assert changed == {
        KERNEL: Variable(shape=(1, 1, 192, 5), trainable=True, regularized=True),
        BIASES: Variable(shape=(5,), trainable=True, regularized=False),
    }
    assert flowers.num_parameters == stem.num_parameters - 996 * 193
    assert flowers.with_classes(1001) == stem


def test_without_head():
    """Without its head, a network has no logits, no classes, and none of the variables of the head."""
    stem = network.get(STEM.name)
    headless = stem.without_head()
    assert (headless.head, headless.logits, headless.predictions) == (None, None, None)
    assert headless.num_classes is None
    assert set(stem.variables) - set(headless.variables) == {KERNEL, BIASES}
    assert set(stem.regularized) - set(headless.regularized) == {KERNEL}
    assert stem.random_in_training == (stem.predictions.name, stem.logits.name)
    assert headless.random_in_training == ()
    assert headless.without_head() == headless
    with pytest.raises(ValueError, match="InceptionV1 has no classification layer"):
        headless.with_classes(5)


@pytest.mark.parametrize("name", STEMS)
def test_for_any_image_size(name):
    """For any image size, heights and widths of end points are unknown, but for the pool over all positions."""
    stem = network.get(name)
    end_points = stem.for_any_image_size().end_points
    assert list(end_points) == list(stem.end_points)
    for key, spec in end_points.items():
        frozen = stem.end_points[key]
        assert (spec.name, spec.dtype) == (frozen.name, frozen.dtype)
        size = (1, 1) if key.endswith("/global_pool") else (None, None)
        assert spec.shape == (None, *size, frozen.shape[3])


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        # Batch norms, kernels with an L2 loss, variables, trainable ones, and numbers in all of them.
        ("inception_v1", (57, 58, 230, 116, 6_633_209)),
        ("inception_v2", (68, 69, 277, 141, 11_199_137)),
        ("resnet_v2_50", (49, 54, 272, 174, 25_615_849)),
        ("vgg_16", (0, 16, 32, 32, 138_357_544)),
    ],
)
def test_counts(name, counts):
    """The variables of a network tell how many batch norms, losses and parameters it has."""
    found = network.get(name)
    assert counts == (
        found.num_batch_norms,
        len(found.regularized),
        len(found.variables),
        len(found.trainable),
        found.num_parameters,
    )


def test_end_points_of_resnet_v2():
    """ResNet V2 has the end points that scripts of its modules' users name."""
    end_points = network.get("resnet_v2_50").end_points
    scope = "resnet_v2_50"
    assert end_points[f"{scope}/block1/unit_1/bottleneck_v2/shortcut"].shape == (None, 56, 56, 256)
    assert end_points[f"{scope}/block4"].shape == (None, 7, 7, 2048)
    assert end_points[f"{scope}/global_pool"].shape == (None, 1, 1, 2048)
    assert list(end_points)[-2:] == [f"{scope}/block4", f"{scope}/global_pool"]


def test_rescaling():
    """The formula by which images are rescaled has the offset of all channels, or one for each."""
    assert network.get("inception_v1").rescaling == "2 * images - 1"
    assert network.get("resnet_v2_50").rescaling == "2 * images - 1"
    assert network.get("vgg_16").rescaling == "255 * images - (123.68, 116.78, 103.94)"
