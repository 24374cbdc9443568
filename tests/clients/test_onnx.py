"""tf2onnx, which takes a tag set, and ONNX Runtime."""

import pytest
from clients import converters
from clients.consumer import command

pytestmark = pytest.mark.parametrize("environment", ["onnx"], indirect=True)


def convert(environment, path, *flags, file) -> None:
    arguments = ("--saved-model", path, *flags, "--output", file)
    command(environment, "python", "-m", "tf2onnx.convert", *arguments)


@pytest.mark.client("ONNX Runtime", "tf2onnx of serving_default")
def test_version_5(environment, run, row, slim, network, module, tmp_path):
    """ONNX Runtime gives what Slim gives from what tf2onnx makes of version 5, for any size."""
    path, file = module(*network, 5), tmp_path / "module.onnx"
    flags = ("--tag", "serve", "--signature_def", "serving_default")
    convert(environment, path, *flags, file=file)
    images, output = converters.batches(), converters.main_output(5, network)
    result = run("onnx_runtime", module=path, images=images, file=str(file), output=output)
    row.saw(result)
    assert result.facts["outputs"] == [output]
    row.compare(result.arrays, converters.main(slim(*network), network, 5))


@pytest.mark.client("ONNX Runtime", "tf2onnx of the tag set {} as --tag ''")
@converters.smaller_network
def test_version_3(environment, run, row, slim, network, module, tmp_path):
    """tf2onnx takes the tag set {} of version 3 as an empty tag."""
    path, file = module(*network, 3), tmp_path / "module.onnx"
    convert(environment, path, "--tag", "", "--signature_def", "default", file=file)
    images = converters.batches()
    result = run("onnx_runtime", module=path, images=images, file=str(file), output="default")
    row.saw(result)
    assert result.facts["outputs"] == ["default"]
    row.compare(result.arrays, converters.main(slim(*network), network, 3))


@pytest.mark.client("ONNX Runtime", "tf2onnx of the tag set {train}: batch statistics")
@converters.smaller_network
def test_training(environment, run, row, slim, network, module, tmp_path):
    """What tf2onnx makes of the tag set {train} normalizes with the statistics of the batch."""
    path, file = module(*network, 3), tmp_path / "module.onnx"
    convert(environment, path, "--tag", "train", "--signature_def", "default", file=file)
    images = converters.batches()
    result = run("onnx_runtime", module=path, images=images, file=str(file), output="default")
    row.saw(result)
    reference = slim(*network, training=True)
    row.compare(result.arrays, converters.main(reference, network, 3))


@pytest.mark.client("ONNX Runtime", "tf2onnx without --tag refuses the tag sets of version 3")
@converters.smaller_network
def test_no_tag(environment, row, network, module, tmp_path):
    """Without a tag, tf2onnx looks for the tag serve, and says which tag sets there are."""
    message = (
        r"MetaGraphDef associated with tags 'serve' could not be found .*\[set\(\), {'train'}\]"
    )
    flags = ("--signature_def", "default")
    with pytest.raises(AssertionError, match=message):
        convert(environment, module(*network, 3), *flags, file=tmp_path / "module.onnx")
    row.modules.append(3)
