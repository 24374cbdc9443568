"""Programs to copy, from the pages of modules that a server has, and from README.md: they run as they stand."""

import pytest
import readme
from stem import RESNET_STEM, VGG_STEM

import hub
from slimhub.hub import snippets

NAMES = ("logits", "features", "feature_map", "height", "updates", "losses", "history")
SNIPPETS = "the snippets of the module's page and of the README"
TRAINED = ["features", "height", "updates", "losses"]


def of_page(module, url, *, cwd, titles) -> list:
    """Directory and code of the snippets with these titles: of usage, then of training."""
    promise = hub.record_of(module).promise()
    programs = [*snippets.usage(promise, url=url), *snippets.training(promise, url=url)]
    return [(str(cwd), program.code) for program in programs if program.title in titles]


@pytest.fixture
def pages(module, tmp_path, monkeypatch):
    """A function that gives the snippets of the pages of some versions, whose server runs until the test ends."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "fetched"))
    paths = [module("inception_v1", "feature_vector", version) for version in (1, 3, 4, 5)]
    root = paths[0].parents[4]
    with hub.serving(root, tmp_path / "home") as server:

        def get(*versions: int, titles) -> list:
            programs = []
            for path in paths:
                if int(path.name) in versions:
                    url = f"{server.url}/{path.relative_to(root)}"
                    programs += of_page(path, url, cwd=tmp_path, titles=titles)
            return programs

        yield get


@pytest.mark.client("hub.Module", SNIPPETS)
@pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)
def test_tensorflow_1(run, row, pages, family, module, tmp_path):
    """Those for TensorFlow 1 do so; without batch norm, nothing is updated."""
    titles = ["TensorFlow 1"]
    programs = pages(1, 3, titles=titles)
    for name in (RESNET_STEM.name, VGG_STEM.name):
        for version in (1, 3):
            path = family(name, "feature_vector", version)
            programs += of_page(path, path, cwd=tmp_path, titles=titles)
    [code] = readme.blocks("TensorFlow 1", "python")
    programs.append((str(readme.checkout(code, module=module, into=tmp_path)), code))
    result = run("snippets", images={}, snippets=programs, names=NAMES)
    row.version, row.modules = result.facts["version"], [1, 3]
    usage, without_updates = ["features", "height"], ["features", "height", "losses"]
    # Of Inception and ResNet, of VGG, and the README's.
    expected = 4 * [usage, TRAINED] + 2 * [usage, without_updates] + [TRAINED]
    assert result.facts["shown"] == expected


@pytest.mark.client("hub.KerasLayer", SNIPPETS)
@pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)
def test_tensorflow_2(run, row, pages):
    """Those for TensorFlow 2 do so, for inference, with all end points, and for training."""
    programs = pages(
        3, 4, 5, titles=["TensorFlow 2", "TensorFlow 2, with all end points", "Keras 2"]
    )
    result = run("snippets", images={}, snippets=programs, names=NAMES)
    row.version, row.modules = result.facts["version"], [3, 4, 5]
    usage = [["features"], ["feature_map"]]
    fine_tunable = [*usage, ["history"]]
    assert result.facts["shown"] == [*usage, *fine_tunable, *fine_tunable]
