"""OpenVINO, which takes no tag set."""

import pytest
from clients import converters
from clients.consumer import command

pytestmark = pytest.mark.parametrize("environment", ["openvino"], indirect=True)


@pytest.mark.client("OpenVINO", "ovc of serving_default")
def test_version_5(environment, run, row, slim, network, module, tmp_path):
    """OpenVINO gives what Slim gives from what ovc makes of version 5, for any size."""
    path, file = module(*network, 5), tmp_path / "module.xml"
    command(environment, "ovc", path, "--output_model", file, "--compress_to_fp16=False")
    names = [converters.main_output(5, network)]
    result = compute(run, network, module=path, file=str(file), names=names)
    row.saw(result)
    assert result.facts["outputs"] == names
    row.compare(result.arrays, converters.main(slim(*network), network, 5))


@pytest.mark.client("OpenVINO, weights in float16", "ovc of serving_default without a flag")
def test_half_precision(environment, run, row, slim, network, module, tmp_path):
    """Left to itself, ovc halves the size of the weights, and outputs are a hundredth off."""
    path, file = module(*network, 5), tmp_path / "module.xml"
    command(environment, "ovc", path, "--output_model", file)
    names = [converters.main_output(5, network)]
    result = compute(run, network, module=path, file=str(file), names=names)
    row.saw(result)
    expected = converters.main(slim(*network), network, 5)
    row.compare(result.arrays, expected, tolerance=converters.HALF_TOLERANCE)
    assert file.with_suffix(".bin").stat().st_size < 0.51 * converters.weights_size(path)


@pytest.mark.client("OpenVINO", "ovc of the tag set {}: all signatures at once")
def test_version_3(environment, run, row, slim, network, module, tmp_path):
    """Of version 3, ovc takes the tag set {}, and joins the outputs of all signatures."""
    path, file = module(*network, 3), tmp_path / "module.xml"
    command(environment, "ovc", path, "--output_model", file, "--compress_to_fp16=False")
    # Features and logits are both named `default`, of which one remains, either of them.
    names = ["default", "InceptionV2/Logits"]
    result = compute(run, network, module=path, file=str(file), names=names)
    row.saw(result)
    row.compare(result.arrays, converters.main(slim(*network), network, 3))


def compute(run, network, **job):
    """Runs what was converted; of what it gives, the logits or features."""
    width = 1001 if network[1] == "classification" else 1024
    return run("openvino_runtime", images=converters.batches(), width=width, **job)
