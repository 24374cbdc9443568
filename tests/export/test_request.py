"""Requests that can't be granted, each refused before anything is read or imported."""

import dataclasses

import pytest

from slimhub.export.errors import UsageError
from slimhub.export.request import ExportRequest
from slimhub.models import catalog

SHA256 = "0123456789abcdef" * 4
AUTO = {"models": ("auto",)}
FLOWERS = {"version": 2, "contract": 3, "handle_prefix": "me/flowers"}
GOOD = {
    "default": {},
    "series": FLOWERS,
    "contract_of_its_own": {"contract": 3},
    "pinned": {"models": ("vgg_16",), "sha256": SHA256},
    "auto": {**AUTO, "checkpoint": "model.ckpt", "sha256": SHA256},
    "labels": {"labels": ("daisy",)},
}
BAD = {
    "version_0": {"version": 0},
    "version_0_of_a_series": {**FLOWERS, "version": 0},
    "version_without_contract": {"version": 2},
    "version_too_large": {**FLOWERS, "version": 1_000_000},
    "contract_unknown": {**FLOWERS, "contract": 2},
    "series_without_prefix": {"version": 2, "contract": 3},
    "series_of_a_contract": {"version": 1, "contract": 3},
    "series_of_google": {**FLOWERS, "handle_prefix": "google/flowers"},
    "series_of_google_itself": {**FLOWERS, "handle_prefix": "google"},
    "series_of_the_default": {**FLOWERS, "handle_prefix": "google/imagenet"},
    **{
        f"prefix {prefix!r}": {"handle_prefix": prefix}
        for prefix in ("", "/google", "google/", "a//b", "../b", "a/./b", "a b", "a\\b", "a\n", ".")
    },
    "labels_of_feature_vectors": {"labels": ("daisy",), "tasks": ("feature_vector",)},
    "auto_and_another": {"models": ("auto", "vgg_16"), "checkpoint": "model.ckpt"},
    "auto_of_nothing": AUTO,
    "auto_of_synthetic": {**AUTO, "checkpoint": "synthetic"},
    "auto_of_a_url": {**AUTO, "checkpoint": "HTTPS://host/a.tar.gz"},
    "sum_too_short": {**GOOD["pinned"], "sha256": SHA256[1:]},
    "sum_not_hex": {**GOOD["pinned"], "sha256": f"x{SHA256[1:]}"},
    "sum_with_newline": {**GOOD["pinned"], "sha256": f"{SHA256}\n"},
    "sum_of_several": {"sha256": SHA256},
    "sum_of_synthetic": {**GOOD["pinned"], "checkpoint": "synthetic"},
    "output_not_utf8": {"output": "\udcff"},
    "output_with_newline": {"output": "a\nb"},
    **{f"output {output!r}": {"output": output} for output in ("m*", "a[b]", "a?", "a\\b")},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_good_request(changes):
    """A request may name a series, a pinned file, any network, or classes."""
    assert dataclasses.asdict(ExportRequest(**{"version": 3, **changes})).items() >= changes.items()


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_bad_request(changes):
    """A request with one contradiction or one bad value is refused."""
    with pytest.raises(UsageError):
        ExportRequest(**{"version": 3, **changes})


def test_defaults():
    """A request asks for everything, under the names that code already has."""
    request = ExportRequest(version=3)
    assert request.models == catalog.names()
    assert request.tasks == ("classification", "feature_vector")
    handle = request.handle(catalog.get("inception_v2"), "classification")
    assert handle == "google/imagenet/inception_v2/classification/3"
