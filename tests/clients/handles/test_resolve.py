"""Both forms of a URL on TF Hub: the library finds what was put, and asks nobody."""

import pytest

SITE = "https://tfhub.dev/google"


@pytest.mark.client("hub.resolve", "both forms of URLs on TF Hub, without a request")
@pytest.mark.parametrize(
    ("environment", "versions"),
    [("tf-1.15", (1, 3)), ("tf-2.15", (3, 4, 5)), ("tf-newest", (3, 4, 5))],
    indirect=["environment"],
)
def test_resolved(use, row, put, outputs, drawn, monkeypatch, environment, versions):
    """A URL, with and without the query for an archive, is the directory that was put, and loads."""
    # Nothing listens there.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    urls = [f"{SITE}/imagenet/inception_v1/feature_vector/{version}" for version in versions]
    directories = {
        url + query: str(directory)
        for url in urls
        for query, directory in zip(("", "?tf-hub-format=compressed"), put(url), strict=True)
    }
    images = drawn(224)["images"][:1]
    load = environment.name != "tf-1.15"
    result = use("resolve", *directories, images={"images": images}, load=load)
    assert result.facts["resolved"] == directories
    row.compare(result.arrays, {url: outputs(url, images) for url in directories})
