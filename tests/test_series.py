"""Series of one's own: versions that count on, whichever version of the contract they keep."""

import re

import pytest
from stem import STEM, broken_copy, export_stem

from slimhub.export.errors import UsageError
from slimhub.export.hub import pages
from slimhub.export.hub.shelf import Shelf
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import conformance, contract
from slimhub.signatures.provenance import files_in

# One worker exports them, once.
pytestmark = pytest.mark.xdist_group("series")

FLOWERS = "me/flowers/stem/feature_vector"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with three versions of a series, all of which keep the contract of version 3."""
    output = tmp_path_factory.mktemp("series")
    export_stem(output, versions=(1, 2, 3), interface=3, handle_prefix="me/flowers")
    return output


@pytest.mark.parametrize("version", [1, 2, 3])
def test_conforms(root, stem, version):
    """Each version keeps that contract, and is what a drop-in module is but for its record."""
    report = conformance.check(root / FLOWERS / str(version))
    assert report.ok
    assert report.handle == f"{FLOWERS}/{version}"
    ours, theirs = files_in(root / FLOWERS / str(version)), files_in(stem / "3")
    assert [one for one in ours if "provenance" not in one.name] == [
        one for one in theirs if "provenance" not in one.name
    ]


def test_served(root):
    """A hub has them all, beside each other, each with a page that says which contract it keeps."""
    shelf = Shelf(root)
    assert shelf.handles() == tuple(f"{FLOWERS}/{version}" for version in (1, 2, 3))
    for version in (1, 2, 3):
        entry = shelf.entry(f"{FLOWERS}/{version}")
        assert (entry.record.version, entry.record.contract) == (version, 3)
        text = pages.markdown(entry, url="https://hub.example", portrait="not drawn")
        assert f"stem, version {version} of its modules for feature vectors" in text
        assert re.findall(r"^\| \*\*(\d)\*\* \|", text, re.MULTILINE) == ["3"]
        assert "_with_bn_hparams" in text
        said = (
            f"images, with the contract of version 3: TF1 Hub, {entry.num_bytes / 1e3:.1f} kB",
            f"is version {version} of a series of its own. What it keeps is the contract of version 3:",
            "the contract of version 5 is for that",
        )
        # Of version 3, there is nothing to say: its contract is its own.
        assert [one in text for one in said] == [version != 3] * 3


def test_forged_series(root, tmp_path):
    """Under a handle of the publisher, a version with another contract fails a check."""
    handle = "google/imagenet/stem/feature_vector/2"
    bad = broken_copy(
        root / FLOWERS / "2", tmp_path / "2", lambda m: m.record.update(handle=handle)
    )
    [failed] = conformance.check(bad).failed
    assert failed.id == "provenance"
    assert failed.problems == (
        "expected a handle that does not begin with google/, as version 2 keeps the contract of version 3",
    )


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_interface_of_its_own(version):
    """To name the contract that a version has anyway needs no prefix, and changes nothing."""
    request = ExportRequest(version=version, interface=version)
    assert request.contract == ExportRequest(version=version).contract == version
    model = catalog.get("inception_v1")
    handle = ExportRequest(version=version).handle(model, "feature_vector")
    assert request.handle(model, "feature_vector") == handle


BAD = {
    "no_contract": (
        dict(version=2),
        "--version=2: that version has no contract; --interface, one of",
    ),
    "other_contract": (dict(version=3, interface=2), "--interface=2: expected one of 1, 3, 5"),
    "version_0": (dict(version=0, interface=3), "--version=0: expected 1 to 999999"),
    "no_prefix": (dict(version=5, interface=3), "--handle_prefix=me/flowers gives it a name"),
    "default": (
        dict(version=5, interface=3, handle_prefix=STEM.handle_prefix),
        "neither a default nor begins with google/",
    ),
}


@pytest.mark.parametrize(("how", "says"), BAD.values(), ids=BAD)
def test_refused(how, says):
    """What is no series of one's own is refused, with what to do."""
    with pytest.raises(UsageError, match=re.escape(says)):
        ExportRequest(**how)
