"""Pages of ResNet and VGG: they are true of these networks, and their programs run."""

import ast
import dataclasses

import numpy as np
import pytest
from stem import RESNET_STEM, STEMS, VGG_STEM

import hub
from slimhub.hub import documentation, snippets
from slimhub.hub.index import Entry, key_of

pytestmark = pytest.mark.xdist_group("families")

FULL = {RESNET_STEM.name: "resnet_v1_50", VGG_STEM.name: "vgg_16"}
every_family = pytest.mark.parametrize("name", FULL)


@pytest.fixture
def entry(family):
    """A function that returns a small module as one of the whole network, with the record of any version."""

    def get(name, version, task="feature_vector", *, exported=3, **changes) -> Entry:
        directory = family(name, task, exported)
        changes = {"version": version, "contract": version, **changes}
        record = dataclasses.replace(hub.record_of(directory), **changes)
        promise = record.promise()
        # The catalog has no stems.
        record = dataclasses.replace(record, model=FULL[name])
        return Entry(
            handle=record.handle,
            directory=directory,
            key=key_of(directory),
            record=record,
            promise=promise,
            num_bytes=sum(file.num_bytes for file in record.files),
        )

    return get


def page(entry, preview="not drawn") -> str:
    text = documentation.markdown(entry, url="https://hub.example", preview=preview)
    return " ".join(text.split())


@every_family
@pytest.mark.parametrize("version", [1, 3, 4, 5])
def test_facts(entry, name, version):
    """A page says how images are rescaled, and what the smallest size is."""
    text = page(entry(name, version))
    assert "`255 * images - (123.68, 116.78, 103.94)`" in text
    height, width = STEMS[name].min_image_size
    assert (f"any from {height} x {width} on" in text) == (version != 1)
    # "[None, height" is part of a program in TensorFlow 1.
    assert "None" not in text.replace("[None, height", "")


@pytest.mark.parametrize("version", [1, 3, 4, 5])
@pytest.mark.parametrize(
    ("name", "task"),
    [
        (VGG_STEM.name, "classification"),
        (VGG_STEM.name, "feature_vector"),
        (RESNET_STEM.name, "feature_vector"),
    ],
)
def test_training(entry, name, task, version):
    """A page has momentum and updates only with batch norm, and says where dropout acts if it does."""
    text = page(entry(name, version, task)).split("## Versions")[0]
    is_vgg = name == VGG_STEM.name
    assert ("dropout is active inside the network" in text) == is_vgg
    assert ("and before the classification layer." in text) == (task == "classification")
    # In a session, random numbers can be fed, the same to both.
    assert ("those that dropout makes random in training" in text) == (is_vgg and version >= 4)
    assert ("there is no momentum to set" in text) == is_vgg
    assert ("0.997" in text) == (not is_vgg)
    assert ("UPDATE_OPS" in text) == (not is_vgg and version < 4)
    assert ("_with_bn_hparams" in text) == (not is_vgg and version in (3, 5))


@every_family
@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.slow), 3, 5])
def test_programs(entry, name, version):
    """A page's programs for TensorFlow 2 run unchanged; for TensorFlow 1, see `tests/clients`."""
    module = entry(name, version, exported=version)
    promise, url = module.promise, str(module.directory)
    for snippet in (*snippets.usage(promise, url=url), *snippets.training(promise, url=url)):
        if snippet.title.startswith("TensorFlow 1"):
            ast.parse(snippet.code)
            continue
        names = {}
        exec(compile(snippet.code, snippet.title, "exec"), names)
        if snippet.title == "TensorFlow 2":
            assert names["features"].shape == (1, STEMS[name].num_features)
        elif snippet.title == "Keras 2":
            [loss] = names["history"].history["loss"]
            assert np.isfinite(loss)
            weights = len(module.promise.network.trainable)
            assert len(names["model"].trainable_variables) == weights + 2
        else:
            assert names["feature_map"].shape[-1] == STEMS[name].num_features


def test_page_of_many_end_points(entry):
    """A page has the shapes of all end points, and says how many of them have pictures."""
    points = [{"key": f"n/{i}", "shape": [1, 1, 1, i], "picture": None} for i in range(1, 40)]
    points[7]["picture"] = "07.png"
    preview = {"image_size": [1, 1], "filters_shape": [1, 1, 3, 1], "end_points": points}
    text = page(entry(RESNET_STEM.name, 3), preview=preview)
    assert all(f"| `n/{i}` | `[1, 1, 1, {i}]` |" in text for i in range(1, 40))
    assert text.count("![Activations of ") == 1
    assert "For 1 of the 39 end points" in text
