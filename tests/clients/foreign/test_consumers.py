"""Stock consumers take the modules that are said to be good, and give what they should."""

import pictures
import pytest
from clients.foreign.cases import CASES
from clients.reference import Slim

DROP_INS = [case for case in CASES if case.like.startswith("google/") and not case.failed]


@pytest.mark.client("hub.Module", "modules that slimhub did not write")
@pytest.mark.parametrize("environment", ["tf-1.15"], indirect=True)
@pytest.mark.parametrize(
    ("origin", "slow"),
    [("slim", False), pytest.param("slim", True, marks=pytest.mark.slow), ("fine-tuned", False)],
)
def test_hub_module(run, row, written, origin, slow):
    """A drop-in gives what Slim's graph gives with the weights of the module."""
    cases = [case for case in DROP_INS if (case.origin, case.slow) == (origin, slow)]
    modules = {case.module: written(origin, case.module) for case in cases}
    images = {"images": pictures.draw(2, size=224, seed=1)[0]}
    paths = {name: str(path) for name, path in modules.items()}
    result = run("apply", images=images, modules=paths, signature="default")
    row.version = result.facts["version"]
    expected = {}
    for case in cases:
        _, _, network, task, version = case.like.split("/")
        checkpoint = modules[case.module] / "variables" / "variables"
        reference = Slim(network, task, training=False, checkpoint=checkpoint)
        outputs = reference.outputs(int(version), images)
        expected[f"{case.module} images"] = outputs["images default:default"]
    row.compare(result.arrays, expected)


# Shape of the output for four images; number of variables, of trainable ones, and of those that move.
SAVED_MODELS = {
    "keras-features": ((4, 256), [135, 81, 135]),
    "keras-logits": ((4, 10), [137, 83, 137]),
    "by-hand": ((4, 16), [4, 2, 4]),
    "by-hand-tf-module": ((4, 16), [0, 0, 0]),
}


@pytest.mark.client("hub.KerasLayer", "SavedModels that slimhub did not write")
@pytest.mark.parametrize("environment", ["tf-newest"], indirect=True)
def test_keras_layer(run, row, written):
    """A step of training moves all variables, but those of a `tf.Module`, which are not found."""
    modules = {name: str(written("saved-model", name)) for name in SAVED_MODELS}
    images = {"images": pictures.draw(4, size=96, seed=1)[0]}
    result = run("foreign/use_saved_models", images=images, modules=modules)
    row.version = result.facts["version"]
    found = {
        name: (output.shape, result.facts["variables"][name])
        for name, output in result.arrays.items()
    }
    assert found == SAVED_MODELS
