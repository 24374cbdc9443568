"""Modules of a hub of one's own, by their URLs: fetched once, then taken from the cache."""

import hub
import pytest
from clients import consumer
from stem import RESNET_STEM, VGG_STEM

from slimhub.export.hub import snippets

NETWORK = ("inception_v1", "feature_vector")
FETCHED = "a URL of make serve, with an empty and a full cache"
SNIPPETS = "the snippets of the module's page"


@pytest.fixture
def served(module, tmp_path, monkeypatch):
    """A function that serves a version, and gives the server, the module's directory and its URL."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "fetched"))

    def serve(version: int):
        path = module(*NETWORK, version)
        root = path.parents[4]
        server = hub.serving(root, tmp_path / "home")
        return server, path, path.relative_to(root)

    return serve


@pytest.fixture
def twice(run, served):
    """A function that runs a program on a URL, and once more when the server is gone."""

    def run_twice(program: str, version: int, **job) -> list[consumer.Result]:
        server, path, handle = served(version)
        with server as running:
            url = f"{running.url}/{handle}"
            first = run(program, module=path, url=url, **job)
        second = run(program, module=path, url=url, **job)
        assert running.log.read_text().count(f"GET /{handle}?tf-hub-format=compressed") == 1
        return [first, second]

    return run_twice


@pytest.mark.client("hub.Module", FETCHED)
@pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)
@pytest.mark.parametrize("version", [1, 3])
def test_hub_module(row, twice, slim, batches, version):
    """`hub.Module` loads the URL of a module, and gives what Slim gives."""
    expected = slim(*NETWORK).outputs(version, batches(version))
    for result in twice("hub_module", version, images=batches(version)):
        row.saw(result)
        row.compare(result.arrays, expected)


@pytest.mark.client("hub.load", FETCHED)
@pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)
def test_hub_load(row, twice, slim, batches):
    """`hub.load` loads the URL of a module, and gives what Slim gives."""
    expected = slim(*NETWORK).outputs(3, batches(3))
    for result in twice("hub_load", 3, images=batches(3), momentum=0.5):
        row.saw(result)
        row.compare(result.arrays, expected)


@pytest.mark.client("hub.KerasLayer", FETCHED)
@pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)
def test_keras_layer(row, twice, slim, batches):
    """`hub.KerasLayer` loads the URL of a module of version 5, gives what Slim gives, and trains."""
    expected = slim(*NETWORK).outputs(5, batches(5))
    for result in twice("keras_layer_train", 5, images=batches(5), momentum=0.75, rate=1.0):
        row.saw(result)
        before = {batch: result.arrays[f"{batch} before"] for batch in batches(5)}
        row.compare(
            before, {batch: expected[f"{batch} image_feature_vector:default"] for batch in before}
        )
        assert result.facts["trainable"] == 114


# Of results in snippets.
NAMES = ("features", "feature_map", "updates", "losses", "history")


def run_snippets(environment, served, version, *, titles):
    """Runs those of a page that have these titles, and tells the results that each has."""
    server, path, handle = served(version)
    with server as running:
        return results(environment, path, f"{running.url}/{handle}", titles=titles)


def results(environment, path, url, *, titles):
    promise, shown = hub.record_of(path).promise(), {}
    for kind in (snippets.usage, snippets.training):
        for snippet in kind(promise, url=url):
            if snippet.title in titles:
                show = f"print(*(name for name in {NAMES} if name in globals()))"
                code = f"{snippet.code}\n{show}"
                said = consumer.command(environment, "python", "-c", code)
                shown[kind.__name__, snippet.title] = said.split("\n")[-2]
    return shown


@pytest.mark.client("hub.Module", SNIPPETS)
@pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)
@pytest.mark.parametrize("version", [1, 3])
def test_snippets_1(environment, row, served, version):
    """What a page shows for TensorFlow 1 runs there as it stands."""
    row.modules.append(version)
    assert run_snippets(environment, served, version, titles=["TensorFlow 1"]) == {
        ("usage", "TensorFlow 1"): "features",
        ("training", "TensorFlow 1"): "features updates losses",
    }


@pytest.mark.client("hub.KerasLayer", SNIPPETS)
@pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)
@pytest.mark.parametrize("version", [3, 5])
def test_snippets_2(environment, row, served, version):
    """What a page shows for TensorFlow 2 runs there as it stands."""
    row.modules.append(version)
    titles = ["TensorFlow 2", "TensorFlow 2, with all end points", "Keras 2"]
    shown = run_snippets(environment, served, version, titles=titles)
    assert shown == {
        ("usage", "TensorFlow 2"): "features",
        ("usage", "TensorFlow 2, with all end points"): "feature_map",
    } | ({("training", "Keras 2"): "history"} if version == 5 else {})


@pytest.mark.client("hub.Module", SNIPPETS)
@pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)
@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize(
    ("name", "training"),
    [(RESNET_STEM.name, "features updates losses"), (VGG_STEM.name, "features losses")],
)
def test_snippets_of_families(environment, row, family, name, training, version):
    """So does it for networks that are no Inceptions; without batch norm, nothing is updated."""
    row.modules.append(version)
    path = family(name, "feature_vector", version)
    assert results(environment, path, path, titles=["TensorFlow 1"]) == {
        ("usage", "TensorFlow 1"): "features",
        ("training", "TensorFlow 1"): training,
    }
