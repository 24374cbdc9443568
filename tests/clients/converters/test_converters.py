"""Converters, and the runtimes that they convert for: ONNX, OpenVINO, TFLite and TensorFlow.js."""

import typing
from pathlib import Path

import pictures
import pytest
from clients.consumer import PROGRAMS, command

from slimhub.signatures.contract import contract

# Version 3 says the same of both networks.
smaller_network = pytest.mark.parametrize(
    "network", [("inception_v1", "feature_vector")], indirect=True, ids="-".join
)
# Half precision has 11 significant bits: each weight moves by up to 2**-12 of itself, and the
# layers add up. Slim's own outputs move by up to 1.1e-2 if its weights are rounded so; what is
# converted rounds them after batch norm is folded into them.
HALF, HALF_TOLERANCE = ", weights in float16", 3e-2

# Split at spaces; '' is an empty argument.
ONNX = (
    "python -m tf2onnx.convert --saved-model {module} --signature_def {signature} --output {file}"
)
OVC = "ovc {module} --output_model {file}"
TFLITE = "tflite_convert --saved_model_dir {module} --output_file {file}"
FLOAT16 = f"python {PROGRAMS}/converters/tflite_float16.py {{module}} {{file}}"
ONNX_FUNCTION = f"python {PROGRAMS}/converters/onnx_function.py {{module}} {{file}}"
TFLITE_FUNCTION = f"python {PROGRAMS}/converters/tflite_function.py {{module}} {{file}}"
JS = "tensorflowjs_converter --signature_name={signature} {module} {file} --input_format="
SIGNATURE = " --saved_model_signature_key default"


class Runtime(typing.NamedTuple):
    """The environment and the program that run converted modules.

    Attributes:
      environment: where it runs.
      program: of `programs/converters`.
      suffix: of files that it runs.
      options: what else the program is told.
    """

    environment: str
    program: str
    suffix: str
    options: dict = {}  # noqa: RUF012


RUNTIMES = {
    "ONNX Runtime": Runtime("onnx", "onnx_runtime", ".onnx"),
    "OpenVINO": Runtime("openvino", "openvino_runtime", ".xml"),
    "TFLite": Runtime("tflite", "tflite_interpreter", ".tflite", {"litert": False}),
    "LiteRT": Runtime("tflite", "tflite_interpreter", ".tflite", {"litert": True}),
    "TensorFlow.js": Runtime("tensorflowjs", "tensorflowjs_predict", "", {"backend": "cpu"}),
    "TensorFlow.js in WebAssembly": Runtime(
        "tensorflowjs", "tensorflowjs_predict", "", {"backend": "wasm"}
    ),
}


def cases(*rows):
    """Parameters of a test: consumer, what is exercised, command line, and whatever else it takes."""
    found = [
        pytest.param(
            runtime.environment,
            runtime,
            line,
            more[0] if more else None,
            marks=pytest.mark.client(consumer, exercised),
            id=f"{consumer}: {exercised}",
        )
        for consumer, exercised, line, *more in rows
        for runtime in [RUNTIMES[consumer.removesuffix(HALF)]]
    ]
    names = ("environment", "runtime", "line", "more")
    return pytest.mark.parametrize(names, found, indirect=["environment"])


@pytest.fixture(scope="session")
def batches():
    """Several batches of several sizes: what is converted keeps all three dimensions open."""
    shapes = ((1, 224), (2, 160), (3, 97))
    return {f"{n} x {size}": pictures.draw(n, size=size, seed=size)[0] for n, size in shapes}


@pytest.fixture(scope="module")
def convert(environment, module, network, tmp_path_factory):
    """A function that runs a converter on a version, once, and gives the path of what it made."""
    made = {}

    def run_converter(version: int, line: str, suffix: str = "") -> Path:
        if (version, line) not in made:
            path, main = module(*network, version), contract.VERSIONS[version].format.main
            file = tmp_path_factory.mktemp("converted") / f"module{suffix}"
            words = line.format(module=path, file=file, signature=main).split(" ")
            command(environment, *("" if word == "''" else word for word in words))
            made[version, line] = file
        return made[version, line]

    return run_converter


@pytest.fixture
def check(run, row, slim, network, module, convert, batches):
    """A function that converts a version, and holds what the runtime gives to what Slim gives."""

    def check_outputs(
        runtime: Runtime, version: int, line: str, *, output=None, training=False, half=None
    ):
        rules, path = contract.VERSIONS[version].format, module(*network, version)
        output = output or rules.main_output[network[1]]
        file = convert(version, line, runtime.suffix)
        width = 1001 if network[1] == "classification" else 1024
        job = {"file": str(file), "output": output, "width": width, **runtime.options}
        result = run(f"converters/{runtime.program}", module=path, images=batches, **job)
        row.saw(result)
        # The main output, which is that of every version.
        outputs = slim(*network, training=training).outputs(3, batches)
        expected = {name: outputs[f"{name} default:default"] for name in batches}
        if half is None:
            row.compare(result.arrays, expected)
        else:
            row.compare(result.arrays, expected, tolerance=HALF_TOLERANCE)
            weights = file.with_suffix(".bin") if runtime.suffix == ".xml" else file
            assert weights.stat().st_size < half * weights_size(path)
        return result.facts["outputs"], output

    return check_outputs


def weights_size(path: Path) -> int:
    """Bytes of all variables of a module."""
    return (path / "variables" / "variables.data-00000-of-00001").stat().st_size


@cases(
    ("ONNX Runtime", "tf2onnx of serving_default", f"{ONNX} --tag serve"),
    ("OpenVINO", "ovc of serving_default", f"{OVC} --compress_to_fp16=False"),
    ("TFLite", "tflite_convert, float32", TFLITE),
    ("LiteRT", "tflite_convert, float32", TFLITE),
    ("TensorFlow.js", "tensorflowjs_converter; Node.js on the CPU", f"{JS}tf_saved_model"),
    ("TensorFlow.js in WebAssembly", "tensorflowjs_converter; Node.js", f"{JS}tf_saved_model"),
)
def test_version_5(check, runtime, line, more):
    """A converted version 5 gives Slim's outputs, by the contract's name if the format keeps names."""
    outputs, output = check(runtime, 5, line)
    assert outputs == ["Identity:0" if runtime.program == "tensorflowjs_predict" else output]


# What the output is called.
@cases(
    ("ONNX Runtime", "tf2onnx of the function serve", ONNX_FUNCTION, "Identity:0"),
    ("TFLite", "TFLiteConverter.from_concrete_functions", TFLITE_FUNCTION, "output_0"),
)
def test_version_4(check, runtime, line, more):
    """Of version 4, which has no signatures, converters take the function for inference."""
    outputs, output = check(runtime, 4, line, output=more)
    assert outputs == [output]


# The most that the file of weights has of their bytes.
@cases(
    (f"OpenVINO{HALF}", "ovc of serving_default without a flag", OVC, 0.51),
    (f"TFLite{HALF}", "TFLiteConverter.from_saved_model", FLOAT16, 0.55),
)
def test_half_precision(check, runtime, line, more):
    """In half precision, weights take half the size, and outputs are a hundredth off."""
    check(runtime, 5, line, half=more)


@cases(("OpenVINO", "ovc of all signatures of version 3", f"{OVC} --compress_to_fp16=False"))
def test_all_signatures(check, runtime, line, more):
    """From version 3, ovc takes the tag set {}, and joins the outputs of all signatures."""
    check(runtime, 3, line)


EMPTY_TAG = "--saved_model_tag_set ''" + SIGNATURE


# The last is of the tag set {train}, which normalizes with the statistics of the batch.
@cases(
    ("ONNX Runtime", "tf2onnx of the tag set {} as --tag ''", f"{ONNX} --tag ''"),
    ("TFLite", "--enable_v1_converter of {}", f"{TFLITE} --enable_v1_converter {EMPTY_TAG}"),
    ("ONNX Runtime", "tf2onnx of {train}: batch statistics", f"{ONNX} --tag train", True),
)
@smaller_network
def test_tag_sets(check, runtime, line, more):
    """Converters that take a tag set take those of version 3, the empty one as an empty tag."""
    check(runtime, 3, line, training=bool(more))


@cases(("TFLite", "its converter for TensorFlow 2 loses the weights", f"{TFLITE} {EMPTY_TAG}"))
@smaller_network
def test_without_weights(convert, row, network, module, runtime, line, more):
    """TFLite's converter for TensorFlow 2 makes of version 3, without an error, a file without weights.

    It restores variables with an operation that the meta graph names, and those of TF1 Hub's
    format name none.
    """
    file = convert(3, line, runtime.suffix)
    assert file.stat().st_size < 0.05 * weights_size(module(*network, 3))
    row.modules.append(3)


NO_TAG = r"tag.*serve.* could not be found .*\[.*{?'train'}?\]"
OTHERS_TAG = r"requires a `tags=` argument .*\[\[\], \['train'\]\]"
NO_MODULE = "'tensorflow_hub' has no attribute 'Module'"


# To TensorFlow.js, an empty tag set is none, and several are ambiguous then.
@cases(
    ("ONNX Runtime", "refuses {} without --tag", ONNX, NO_TAG),
    ("TFLite", "refuses {} without a tag set", f"{TFLITE}{SIGNATURE}", NO_TAG),
    ("TensorFlow.js", "refuses {}", f"{JS}tf_saved_model", NO_TAG),
    ("TensorFlow.js", "refuses no tag", f"{JS}tf_saved_model --saved_model_tags=", OTHERS_TAG),
    ("TensorFlow.js", "refuses a hub.Module", f"{JS}tf_hub", NO_MODULE),
)
@smaller_network
def test_refusals(convert, row, runtime, line, more):
    """Left to themselves, converters look for the tag serve; and one wants hub.Module, which is gone."""
    with pytest.raises(AssertionError, match=more):
        convert(3, line)
    row.modules.append(3)
