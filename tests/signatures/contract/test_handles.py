"""Handles as public code writes them."""

import pytest

from slimhub.signatures.contract import handles
from slimhub.signatures.contract.handles import Handle

PREVIEW = "google/tf2-preview/inception_v3/classification/4"
HANDLES = [
    PREVIEW,
    f"https://tfhub.dev/{PREVIEW}",
    f"http://tfhub.dev/{PREVIEW}/",
    f"https://tfhub.dev/{PREVIEW}?tf-hub-format=compressed",
    f"https://tfhub.dev/{PREVIEW}?tf-hub-format=uncompressed",
]


@pytest.mark.parametrize("text", HANDLES)
def test_forms(text):
    """A handle is the same alone, as a URL of TF Hub, and with the format that is asked for."""
    handle = handles.parse(text)
    assert handle == Handle(
        prefix="google/tf2-preview", model="inception_v3", task="classification", version=4
    )
    assert str(handle) == PREVIEW


def test_without_prefix():
    """A prefix may be left out."""
    handle = handles.parse("inception_v1/feature_vector/17")
    assert (handle.prefix, handle.model, handle.version) == ("", "inception_v1", 17)
    assert str(handle) == "inception_v1/feature_vector/17"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "https://tfhub.dev/",
            "inception_v1/3",
            "google/imagenet/inception_v1/feature_vector",
        ),
        *("a/b/c/0", "a/b/c/03", "a/b/c/-1", "a/b/c/3.0", "a/b/c/1234567890", "a//c/3", "../b/c/3"),
        *("https://example.com/a/b/c/3", "/a/b/c/3", "a/b/c/3\n", "a/b/c/3?x=y", "a b/c/d/3"),
    ],
)
def test_no_handle(text):
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match="expected a handle"):
        handles.parse(text)
