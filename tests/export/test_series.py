"""Series of one's own: versions that count on, whichever version of the contract they keep."""

import re

import pytest
from stem import broken_copy, export_stem

from slimhub.hub import documentation
from slimhub.hub.index import ModuleIndex
from slimhub.signatures.checks import conformance
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
        text = documentation.markdown(entry, url="https://hub.example", preview="not drawn")
        assert re.findall(r"^\| \*\*(\d)\*\* \|", text, re.MULTILINE) == ["3"]
        assert "_with_bn_hparams" in text
        # Of version 3, there is nothing to say: its contract is its own.
        assert ("of a series of its own" in text) == (version != 3)


def test_forged_series(root, tmp_path):
    """Under a handle of the publisher, a version with another contract fails a check."""
    handle = "google/imagenet/stem/feature_vector/2"
    bad = broken_copy(
        root / FLOWERS / "2", tmp_path / "2", lambda m: m.record.update(handle=handle)
    )
    [failed] = conformance.check(bad).failed
    assert failed.id == "provenance"
