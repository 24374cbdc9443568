"""A training of Slim's own, in TensorFlow 1: its directory in, modules out, with the logits of Slim."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from slimhub.signatures.contract import formats

pytestmark = pytest.mark.parametrize("environment", ["tf-1.15"], indirect=True)

# Trained for four steps, and then up to the eighth by another run, which goes on from there.
STEPS = (4, 8)
HANDLE = "me/flowers/inception_v1/classification"


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Where the training leaves its checkpoints."""
    return tmp_path_factory.mktemp("training") / "run"


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.RandomState(1).uniform(size=(3, 224, 224, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trained(run, directory, pictures):
    """Return the outputs of Slim's own graph for the newest checkpoint, raw and averaged."""
    return run(
        "trainings/train_classifier",
        images={"images": pictures},
        training=str(directory),
        steps=STEPS,
        timeout=600,
    )


@pytest.fixture(scope="module")
def export(tmp_path_factory, directory):
    """A function that exports the directory by the command line: what it says, and the module."""

    def export(version: int, *flags: str) -> tuple[dict, Path]:
        output = tmp_path_factory.mktemp("exported")
        command = [sys.executable, "-m", "slimhub.export", "--json", "--model=auto", *flags]
        command += [f"--version={version}", "--task=classification", f"--output={output}"]
        command += ["--handle_prefix=me/flowers", f"--checkpoint={directory}"]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        [row] = json.loads(done.stdout)["modules"]
        assert Path(row["directory"]) == output / HANDLE / str(version)
        return row, Path(row["directory"])

    return export


def logits(module: Path, pictures: np.ndarray) -> np.ndarray:
    tags = None if module.name == "5" else []
    signature = tf.saved_model.load(str(module), tags).signatures["image_classification"]
    return signature(images=tf.constant(pictures))["default"].numpy()


@pytest.mark.client("Slim's training", "a directory with slots and moving averages")
def test_directory(trained, row, directory):
    """The training leaves what Slim's trainings do: several checkpoints, of which the last is named."""
    row.version = trained.facts["version"]
    assert trained.facts["state"] == f"{directory}/model.ckpt-8"
    assert {f"model.ckpt-{step}.index" for step in (0, *STEPS)} <= set(trained.facts["files"])
    names = trained.facts["variables"]
    for ending in ("/RMSProp", "/RMSProp_1", "/ExponentialMovingAverage"):
        assert sum(name.endswith(ending) for name in names) >= 116
    assert "global_step" in names
    assert not np.allclose(trained.arrays["raw"], trained.arrays["averaged"], rtol=0.01)


@pytest.mark.client("Slim's training", "its newest checkpoint by --model=auto, raw and averaged")
@pytest.mark.parametrize(
    ("version", "weights"),
    [
        (3, "raw"),
        (5, "averaged"),
        pytest.param(3, "averaged", marks=pytest.mark.slow),
        pytest.param(5, "raw", marks=pytest.mark.slow),
    ],
)
def test_logits(trained, export, row, pictures, version, weights):
    """The module's logits are those of Slim's evaluation, of the weights or of their moving averages."""
    averaged = weights == "averaged"
    exported, module = export(version, *["--moving_averages"] * averaged)
    row.saw(dataclasses.replace(trained, module=version))
    assert exported["checkpoint"].endswith("run/model.ckpt-8")
    assert exported["num_classes"] == 5
    record = json.loads((module / formats.PROVENANCE).read_text())
    assert record["moving_averages"] is averaged
    actual = logits(module, pictures)
    row.compare({"logits": actual}, {"logits": trained.arrays[weights]})
