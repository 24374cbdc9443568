"""Series: versions that count on, whichever version of the contract they keep, and those of a preview."""

import re

import numpy as np
import pytest
import tensorflow_hub as hub
from stem import broken_copy, export_stem

from slimhub.hub import documentation
from slimhub.hub.index import ModuleIndex
from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.contract import formats
from slimhub.signatures.module.provenance import files_in

# One worker exports them, once.
pytestmark = pytest.mark.xdist_group("series")

FLOWERS = "me/flowers/stem/feature_vector"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with three versions of a series, all of which keep the contract of version 3."""
    output = tmp_path_factory.mktemp("series")
    export_stem(output, versions=(1, 2, 3), contract=3, handle_prefix="me/flowers")
    return output


@pytest.mark.parametrize("version", [1, 2, 3])
def test_conforms(root, stem, version):
    """Each version keeps that contract, and is what a drop-in module is but for its record."""
    report = conformance.check(root / FLOWERS / str(version))
    assert report.ok
    assert report.handle == f"{FLOWERS}/{version}"
    ours, theirs = map(files_in, (root / FLOWERS / str(version), stem / "3"))
    assert {file.name for file in set(ours) ^ set(theirs)} == {formats.PROVENANCE}


def test_served(root):
    """A hub has them all, beside each other, each with a page that says which contract it keeps."""
    index = ModuleIndex(root)
    assert index.handles() == tuple(f"{FLOWERS}/{version}" for version in (1, 2, 3))
    for version in (1, 2, 3):
        entry = index.entry(f"{FLOWERS}/{version}")
        assert (entry.record.version, entry.record.contract) == (version, 3)
        text = page(root, entry.handle)
        assert re.findall(r"^\| \*\*(\d)\*\* \|", text, re.MULTILINE) == ["3"]
        assert "_with_bn_hparams" in text
        # Of version 3, there is nothing to say: its contract is its own.
        assert ("of a series of its own" in text) == (version != 3)


def page(root, handle):
    """Return the page of a module in Markdown."""
    entry = ModuleIndex(root).entry(handle)
    return documentation.markdown(entry, url="https://hub.example", preview="not drawn")


def test_forged_series(root, tmp_path):
    """Under a handle of the publisher, a version with another contract fails a check."""
    handle = "google/imagenet/stem/feature_vector/2"
    bad = broken_copy(
        root / FLOWERS / "2", tmp_path / "2", lambda m: m.record.update(handle=handle)
    )
    [failed] = conformance.check(bad).failed
    assert failed.id == "provenance"


# The series of Google's own that counts on its own: version 4 has images of one size.
PREVIEW = "google/tf2-preview"


@pytest.fixture(scope="module")
def preview(tmp_path_factory):
    """The directory of the preview's version 4."""
    output = tmp_path_factory.mktemp("preview")
    return export_stem(output, versions=(4,), handle_prefix=PREVIEW) / "4"


def test_preview(preview, stem):
    """The preview's version 4 passes all checks, as itself only: it refuses images of other sizes."""
    report = conformance.check(preview)
    assert report.ok
    assert report.handle == f"{PREVIEW}/stem/feature_vector/4"
    assert "image-sizes" in failed_as(preview, "google/imagenet/stem/feature_vector/4")
    assert failed_as(preview, f"{PREVIEW}/stem/feature_vector/4") == set()
    assert "image-sizes" in failed_as(stem / "4", f"{PREVIEW}/stem/feature_vector/4")


def failed_as(directory, handle):
    """Return the ids of the checks that a module fails as a drop-in for a handle."""
    report = conformance.check(directory, expectation=Expectation(like=handle))
    return {result.id for result in report.failed}


def test_preview_is_fine_tuned(preview, images):
    """Its weights train, and training moves its moving averages."""
    layer = hub.KerasLayer(str(preview), trainable=True)
    before = [weight.numpy() for weight in layer.non_trainable_weights]
    layer(images(2, 32), training=True)
    after = [weight.numpy() for weight in layer.non_trainable_weights]
    assert before
    assert not any(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    assert len(layer.trainable_weights) == len(layer.weights) - len(before)


def test_page_of_preview(preview):
    """Its page shows the one version, and says that images have one size."""
    text = page(preview.parents[4], f"{PREVIEW}/stem/feature_vector/4")
    assert re.findall(r"^\| \*\*(\d)\*\* \|", text, re.MULTILINE) == ["4"]
    assert "32 x 32, and no other" in text
