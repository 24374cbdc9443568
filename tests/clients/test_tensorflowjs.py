"""TensorFlow.js: its converter, and what it makes in Node.js."""

import pytest
from clients import converters
from clients.consumer import command

pytestmark = pytest.mark.parametrize("environment", ["tensorflowjs"], indirect=True)


def convert(environment, path, directory, *flags) -> None:
    command(environment, "tensorflowjs_converter", *flags, path, directory)


@pytest.mark.client("TensorFlow.js", "tensorflowjs_converter; backends wasm and cpu of Node.js")
def test_version_5(environment, run, row, slim, network, module, tmp_path):
    """TensorFlow.js gives what Slim gives from what its converter makes of version 5."""
    path, directory = module(*network, 5), tmp_path / "model"
    convert(environment, path, directory, "--input_format=tf_saved_model")
    expected = converters.main(slim(*network), network, 5)
    for backend in ("wasm", "cpu"):
        job = {"images": converters.batches(), "model": str(directory), "backend": backend}
        result = run("tensorflowjs_predict", module=path, **job)
        row.saw(result)
        assert result.facts["backends"] == [backend]
        # The converter drops the names of outputs.
        assert result.facts["outputs"] == ["Identity:0"]
        row.compare(result.arrays, expected)


REFUSALS = {
    # An empty tag set is none to it, and several are ambiguous then.
    "no tag": (
        ("--input_format=tf_saved_model", "--saved_model_tags="),
        r"requires a `tags=` argument .*\[\[\], \['train'\]\]",
    ),
    "tag serve": (
        ("--input_format=tf_saved_model",),
        r"tag-set serve could not be found .*\['', 'train'\]",
    ),
    "hub.Module": (("--input_format=tf_hub",), "'tensorflow_hub' has no attribute 'Module'"),
}


@pytest.mark.client("TensorFlow.js", "tensorflowjs_converter refuses the tag set {}")
@pytest.mark.parametrize(("flags", "message"), REFUSALS.values(), ids=REFUSALS)
@converters.smaller_network
def test_version_3(environment, row, network, module, tmp_path, flags, message):
    """The converter can't name the tag set {}; and wants hub.Module, gone from what it requires."""
    flags = (*flags, "--signature_name=default")
    with pytest.raises(AssertionError, match=message):
        convert(environment, module(*network, 3), tmp_path / "js", *flags)
    row.modules.append(3)
