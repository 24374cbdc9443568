"""Pages of networks that are no Inceptions: what they say is true of these, and what they show runs."""

import ast
import dataclasses

import hub
import numpy as np
import pytest
from stem import RESNET_STEM, STEMS, VGG_STEM

from slimhub.export.hub import draw, pages, snippets
from slimhub.export.hub.portrait import EndPoint, Filters, Portrait
from slimhub.export.hub.shelf import Entry, key_of
from slimhub.models import catalog
from slimhub.signatures.provenance import STATUSES

pytestmark = pytest.mark.xdist_group("families")

FULL = {RESNET_STEM.name: "resnet_v1_50", VGG_STEM.name: "vgg_16"}
every_family = pytest.mark.parametrize("name", FULL)


@pytest.fixture
def entry(family):
    """A function that gives a small module as its whole network's, with the record of any version."""

    def get(name, version, task="feature_vector", *, exported=3, **changes) -> Entry:
        directory = family(name, task, exported)
        changes = {"model": FULL[name], "version": version, "contract": version, **changes}
        record = dataclasses.replace(hub.record_of(directory), **changes)
        return Entry(
            handle=record.handle,
            directory=directory,
            key=key_of(directory),
            record=record,
            num_bytes=sum(file.num_bytes for file in record.files),
        )

    return get


def page(found, portrait="not drawn") -> str:
    text = pages.markdown(found, url="https://hub.example", portrait=portrait)
    return " ".join(text.split())


def programs(found, url) -> dict[str, str]:
    promise = found.record.promise()
    both = (*snippets.usage(promise, url=url), *snippets.training(promise, url=url))
    return {snippet.title: snippet.code for snippet in both}


@every_family
@pytest.mark.parametrize("version", [1, 3, 5])
def test_facts(entry, name, version):
    """A page tells how images are rescaled, which size is the smallest, and what it knows of the weights."""
    found = entry(name, version)
    text, model = page(found), STEMS[name]
    assert "`255 * images - (123.68, 116.78, 103.94)`" in text
    height, width = model.min_image_size
    assert (f"any from {height} x {width} on" in text) == (version != 1)
    assert f"`{model.archive.name}`, whose SHA-256 is not known. {model.origin}" in text
    # Of a program in TensorFlow 1.
    assert "None" not in text.replace("[None, height", "")


@every_family
@pytest.mark.parametrize("status", STATUSES)
def test_weights(entry, name, status):
    """Only of the published weights, it says what these were trained on and how well."""
    text = page(entry(name, 3, status=status))
    assert catalog.get(FULL[name]).origin in text
    for part in ("trained on ILSVRC", "% of the classes"):
        assert (part in text) == (status == "verified")


@pytest.mark.parametrize("version", [1, 3, 5])
@pytest.mark.parametrize("task", ["classification", "feature_vector"])
def test_no_batch_norm(entry, task, version):
    """Of a network without batch norm, nothing of momentum and updates is shown, but where dropout acts."""
    found = entry(VGG_STEM.name, version, task)
    text = page(found).split("## Versions")[0]
    places = "inside the network" + " and before the classification layer" * (
        task == "classification"
    )
    assert f"dropout is active {places}." in text
    # In a session, random numbers can be fed, the same to both.
    told = "those that dropout makes random in training, at inference only." in text
    assert told == (version == 5)
    assert "has no batch norm: there is no momentum to set" in text
    if task == "feature_vector":
        assert "feature vectors. No dropout acts on them themselves" in text
    for absent in ("_with_bn_hparams", "batch_norm_momentum", "UPDATE_OPS", "update operations"):
        assert absent not in text


@pytest.mark.parametrize("version", [1, 3, 5])
def test_batch_norm(entry, version):
    """Of one with batch norm, and without dropout, it is the other way round."""
    text = page(entry(RESNET_STEM.name, version)).split("## Versions")[0]
    assert "dropout is active" not in text
    assert "those that dropout makes random" not in text
    assert "batch norm uses the statistics of the batch" in text
    assert "0.997" in text
    assert ("UPDATE_OPS" in text) == (version != 5)
    assert ("_with_bn_hparams" in text) == (version != 1)


@every_family
@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.slow), 3, 5])
def test_programs(entry, name, version):
    """What a page shows for TensorFlow 2 runs as it stands; for TensorFlow 1, see `tests/clients`."""
    found = entry(name, version, exported=version)
    for title, code in programs(found, url=str(found.directory)).items():
        if title.startswith("TensorFlow 1"):
            ast.parse(code)
            continue
        names = {}
        exec(compile(code, title, "exec"), names)
        if title == "TensorFlow 2":
            assert names["features"].shape == (1, STEMS[name].num_features)
        elif title == "Keras 2":
            [loss] = names["history"].history["loss"]
            assert np.isfinite(loss)
            weights = found.record.interface.num_trainable_variables
            assert len(names["model"].trainable_variables) == weights + 2
        else:
            *_, channels = names["feature_map"].shape
            assert channels == STEMS[name].num_features


def test_many_end_points():
    """Of many end points, the outermost are drawn, and of a depth that is too much, some of each part."""
    blocks = [f"n/block{number}" for number in range(1, 5)]
    units = [f"{block}/unit_{number}" for block in blocks for number in range(20)]
    keys = ["n/conv1", *(f"{unit}/conv{number}" for unit in units for number in range(3)), *units]
    chosen = draw.choose([*keys, *blocks])
    assert len(chosen) == draw.MOST_DRAWN
    assert chosen >= {"n/conv1", *blocks}
    assert chosen <= {"n/conv1", *blocks, *units}
    for block in blocks:
        assert 4 <= sum(unit in chosen for unit in units if unit.startswith(block)) <= 6
    assert draw.choose(keys[:3]) == set(keys[:3])
    assert len(draw.choose(units, most=1)) == 1


def test_page_of_many_end_points(entry):
    """A page has the shapes of all end points, and says of how many there are pictures."""
    points = [EndPoint(key=f"n/{i}", shape=(1, 1, 1, i), picture=None) for i in range(1, 40)]
    points[7] = dataclasses.replace(points[7], picture="07.png")
    drawn = Portrait(
        image_size=(1, 1),
        picture="picture.png",
        filters=Filters(variable="a", shape=(1, 1, 3, 1), picture="filters.png"),
        end_points=tuple(points),
    )
    assert drawn.pictures == ("picture.png", "filters.png", "07.png")
    text = page(entry(RESNET_STEM.name, 3), portrait=drawn)
    assert all(f"| `n/{i}` | `[1, 1, 1, {i}]` |" in text for i in range(1, 40))
    assert text.count("![Activations of ") == 1
    assert "For 1 of the 39 end points, the mean" in text
