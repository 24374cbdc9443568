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


HANDLES = {
    "google/imagenet/inception_v1/feature_vector/4": "google/imagenet",
    "https://tfhub.dev/google/tf2-preview/inception_v3/feature_vector/4": "google/tf2-preview",
    "slim/imagenet/vgg_16/feature_vector/1": "slim/imagenet",
    "me/flowers/resnet_v1_50/feature_vector/5": "me/flowers",
}


@pytest.mark.parametrize("text", HANDLES)
def test_handle(text):
    """A handle, or its URL, asks for the one module that it names."""
    request = ExportRequest.for_handle(text, checkpoint="synthetic")
    [name], [task] = request.models, request.tasks
    assert request.handle(catalog.get(name), task) == text.removeprefix("https://tfhub.dev/")
    assert request.handle_prefix == HANDLES[text]
    assert request.checkpoint == "synthetic"


def test_handle_without_prefix():
    """Without a prefix, it is that of the network's record; in a series of one's own, any version goes."""
    request = ExportRequest.for_handle("inception_v2/classification/3")
    handle = request.handle(catalog.get("inception_v2"), "classification")
    assert handle == "google/imagenet/inception_v2/classification/3"
    assert ExportRequest.for_handle("me/x/vgg_16/feature_vector/7", contract=4).version == 7


# Handles of modules that Google published, and the nearest one that can be had.
UNAVAILABLE = {
    "google/imagenet/inception_resnet_v2/classification/4": "google/imagenet/inception_v3",
    "google/imagenet/mobilenet_v1_100_224/classification/1": "google/imagenet/inception_v1",
    "google/imagenet/mobilenet_v2_100_224/feature_vector/4": "google/imagenet/inception_v1",
    "google/imagenet/mobilenet_v3_small_075_224/classification/5": "google/imagenet/inception_v1",
    "google/tf2-preview/mobilenet_v2/feature_vector/4": "google/imagenet/inception_v1",
    "google/imagenet/nasnet_large/feature_vector/3": "google/imagenet/inception_v3",
    "google/imagenet/pnasnet_large/classification/5": "google/imagenet/inception_v3",
    "google/imagenet/resnet_v1_50/feature_vector/4": "slim/imagenet/resnet_v1_50",
    "google/imagenet/vgg_16/feature_vector/3": "slim/imagenet/vgg_16",
}


@pytest.mark.parametrize("text", UNAVAILABLE)
def test_unavailable(text):
    """A module whose weights can't be had is refused, and the nearest one is named, which can be had."""
    _, _, _, task, version = text.split("/")
    with pytest.raises(UsageError) as raised:
        ExportRequest.for_handle(text)
    nearest = f"{UNAVAILABLE[text]}/{task}/{version}"
    assert nearest in str(raised.value)
    assert ExportRequest.for_handle(nearest)


@pytest.mark.parametrize(
    "text",
    [
        *("google/nnlm-en-dim128/2", "google/universal-sentence-encoder/4", "google/elmo/3", "x"),
        "google/imagenet/efficientnet_v2_imagenet1k_b0/classification/2",
        "google/imagenet/inception_v1/feature_vector/2",
        "google/imagenet/mobilenet_v2_100_224/quantops/classification/3",
        *(f"google/tf2-preview/inception_v3/feature_vector/{version}" for version in (1, 2, 3, 5)),
        "google/tf2-preview/inception_v1/feature_vector/4",
    ],
)
def test_no_such_module(text):
    """A handle of something else, or of a version that there never was, is refused."""
    with pytest.raises(UsageError):
        ExportRequest.for_handle(text)


def test_defaults():
    """A request asks for everything, under the names that code already has."""
    request = ExportRequest(version=3)
    assert request.models == catalog.names()
    assert request.tasks == ("classification", "feature_vector")
    handle = request.handle(catalog.get("inception_v2"), "classification")
    assert handle == "google/imagenet/inception_v2/classification/3"
