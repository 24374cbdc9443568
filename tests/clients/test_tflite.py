"""TFLite, whose converters take a tag set, and its two interpreters."""

import pytest
from clients import converters
from clients.consumer import PROGRAMS, command

pytestmark = pytest.mark.parametrize("environment", ["tflite"], indirect=True)

INTERPRETERS = [
    pytest.param(litert, id=name, marks=pytest.mark.client(name, "tflite_convert, float32"))
    for litert, name in ((False, "TFLite"), (True, "LiteRT"))
]
EMPTY_TAG_SET = ("--saved_model_tag_set", "", "--saved_model_signature_key", "default")


@pytest.fixture(scope="module")
def convert(environment, module, network, tmp_path_factory):
    """A function of a version and of flags that gives the file which `tflite_convert` makes."""

    def run_converter(version: int, *flags: str):
        file = tmp_path_factory.mktemp("tflite") / "module.tflite"
        arguments = ("--saved_model_dir", module(*network, version), *flags, "--output_file", file)
        command(environment, "tflite_convert", *arguments)
        return file

    return run_converter


@pytest.fixture(scope="module")
def converted(convert):
    """What `tflite_convert` makes of version 5 without any flag."""
    return convert(5)


@pytest.mark.parametrize("litert", INTERPRETERS)
def test_version_5(run, row, slim, network, module, converted, litert):
    """The interpreters give what Slim gives from what tflite_convert makes of version 5."""
    images, output = converters.batches(), converters.main_output(5, network)
    path, file = module(*network, 5), str(converted)
    result = run("tflite_interpreter", module=path, images=images, file=file, litert=litert)
    row.saw(result)
    signature = {"inputs": ["inputs"], "outputs": [output]}
    assert result.facts["signatures"] == {"serving_default": signature}
    row.compare(result.arrays, converters.main(slim(*network), network, 5))


@pytest.mark.client("TFLite, weights in float16", "TFLiteConverter.from_saved_model")
def test_half_precision(environment, run, row, slim, network, module, tmp_path):
    """In half precision, weights take half the size, and outputs are a hundredth off."""
    path, file = module(*network, 5), tmp_path / "module.tflite"
    command(environment, "python", PROGRAMS / "tflite_float16.py", path, file)
    images = converters.batches()
    result = run("tflite_interpreter", module=path, images=images, file=str(file), litert=False)
    row.saw(result)
    expected = converters.main(slim(*network), network, 5)
    row.compare(result.arrays, expected, tolerance=converters.HALF_TOLERANCE)
    assert file.stat().st_size < 0.55 * converters.weights_size(path)


@pytest.mark.client("TFLite", "tflite_convert --enable_v1_converter of the tag set {}")
@converters.smaller_network
def test_version_3(run, row, slim, network, module, convert):
    """TFLite's converter for TensorFlow 1 takes the tag set {} of version 3 as an empty one."""
    file = convert(3, "--enable_v1_converter", *EMPTY_TAG_SET)
    path, images = module(*network, 3), converters.batches()
    result = run("tflite_interpreter", module=path, images=images, file=str(file), litert=False)
    row.saw(result)
    row.compare(result.arrays, converters.main(slim(*network), network, 3))


@pytest.mark.client("TFLite", "its converter for TensorFlow 2 loses the weights of version 3")
@converters.smaller_network
def test_version_3_without_weights(row, network, module, convert):
    """TFLite's converter for TensorFlow 2 makes of version 3, without an error, a file without weights.

    It restores variables with an operation that the meta graph names, and those of TF1 Hub's
    format name none.
    """
    file = convert(3, *EMPTY_TAG_SET)
    assert file.stat().st_size < 0.05 * converters.weights_size(module(*network, 3))
    row.modules.append(3)


@pytest.mark.client("TFLite", "tflite_convert without a tag set refuses version 3")
@converters.smaller_network
def test_no_tag(row, convert):
    """Without a tag set, TFLite looks for the tag serve, and says which tag sets there are."""
    message = (
        r"MetaGraphDef associated with tags {'serve'} could not be found .*\[set\(\), {'train'}\]"
    )
    with pytest.raises(AssertionError, match=message):
        convert(3, "--saved_model_signature_key", "default")
    row.modules.append(3)
