"""Networks that stock TF-Slim trained on photographs: checkpoints in, modules out, with its logits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from clients import table
from clients.environments import environments
from clients.trainings import training
from made_once import make_once

from slimhub.signatures.checks import bounds
from slimhub.signatures.contract import contract

TRAININGS = {found.network: found for found in training.TRAININGS}
# Those that CI trains, too; the others are in `make clients` only.
QUICK = ("inception_v1", "resnet_v1_50", "vgg_16")


def _param(*network: str):
    return pytest.param(network, marks=() if network[0] in QUICK else pytest.mark.slow)


# Of one network, features, too.
MODULES = [_param(network, "classification") for network in TRAININGS]
MODULES += [_param("inception_v2", "feature_vector")]
NETWORKS = [pytest.param(network, marks=_param(network).marks) for network in TRAININGS]
# Those that have signatures.
SIGNED = (1, 3, 5)
# In one TensorFlow, the same kernels run; in others, `table.TOLERANCE` holds.
SAME_TENSORFLOW = 1e-5
# Of losses that are averaged; VGG has few.
SPAN = 10

TF1 = pytest.mark.parametrize("environment", ["tf-1.15"], indirect=True)
TF2 = pytest.mark.parametrize("environment", ["tf-newest"], indirect=True)
EVERY_MODULE = pytest.mark.parametrize("network", MODULES, ids="-".join)


@pytest.fixture(scope="session")
def trained():
    """A function that gives a trained network by its name; the first call ever trains it."""

    def get(network: str) -> training.Trained:
        try:
            return training.train(TRAININGS[network])
        except environments.MissingInterpreterError as error:
            pytest.skip(str(error))

    return get


@pytest.fixture(scope="session")
def export(shared, trained):
    """A function that exports a module by the command line, once a session, and gives its directory."""

    def get(network: str, task: str, version: int) -> Path:
        checkpoint = trained(network).checkpoint

        def make(work: Path) -> Path:
            flags = [f"--model={network}", f"--task={task}", f"--version={version}"]
            flags += [f"--checkpoint={checkpoint}", "--handle_prefix=photographs"]
            done = _run("slimhub.export", *flags, f"--output={work}")
            assert done.returncode == 0, done.stderr
            [exported] = json.loads(done.stdout)["modules"]
            assert exported["parity"] <= 0.2 * bounds.PARITY.limit
            return work / "photographs" / network / task / str(version)

        # Of which training, its directory tells.
        trainings = shared / "trained" / checkpoint.parent.name
        return make_once(trainings / network / task / str(version), make)

    return get


def _run(program: str, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", program, "--json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.client("Slim's training", "every family, on photographs")
@TF1
@pytest.mark.parametrize("network", NETWORKS)
def test_training(environment, row, trained, network):
    """The loss falls, from the first steps of the training to the last."""
    found = trained(network)
    row.version = found.version
    losses = found.arrays["losses"]
    assert len(losses) == TRAININGS[network].steps
    span = min(SPAN, len(losses) // 3)
    assert losses[-span:].mean() < 0.9 * losses[:span].mean()


@pytest.mark.xdist_group("tf-newest")
@EVERY_MODULE
def test_checks(export, network):
    """Modules with trained weights pass every check, and their figures are far from their bounds."""
    versions = contract.VERSIONS
    done = _run("slimhub.signatures", *(export(*network, version) for version in versions))
    reports = json.loads(done.stdout)
    assert (done.returncode, [report["ok"] for report in reports]) == (0, [True] * len(versions))
    results = [result for report in reports for result in report["results"]]
    assert {result["status"] for result in results} == {"passed", "not applicable"}
    for found in (found for result in results for found in result["measurements"]):
        assert found["figure"] <= 0.2 * found["allowed"], found


@pytest.fixture
def compare(run, row, trained, export):
    """A function that applies modules to photographs, and holds them to Slim's graph."""

    def compare_outputs(network: tuple[str, str], versions, *, tolerance: float) -> None:
        (model, task), modules = network, {}
        for version in versions:
            modules[version] = str(export(model, task, version))
        images, outputs = trained(model).of("images"), trained(model).of(task)
        result = run("apply", images=images, modules=modules, signature=f"image_{task}")
        row.version, row.modules = result.facts["version"], list(versions)
        # Version 1 takes images of the network's size only.
        expected = {
            f"{version} {size}": outputs[size]
            for version in versions
            for size in list(outputs)[: 1 if version == 1 else None]
        }
        row.compare(result.arrays, expected, tolerance=tolerance)

    return compare_outputs


@pytest.mark.client("hub.Module", "trained networks, on photographs")
@TF1
@EVERY_MODULE
def test_same_tensorflow(compare, network):
    """In the TensorFlow that trained it, a network gives as a module what it gives as Slim's graph."""
    compare(network, (1, 3), tolerance=SAME_TENSORFLOW)


@pytest.mark.client("hub.load", "trained networks, on photographs")
@TF2
@EVERY_MODULE
def test_newest_tensorflow(compare, network):
    """In the newest TensorFlow, a module gives what Slim's graph gives in the first."""
    compare(network, SIGNED, tolerance=table.TOLERANCE)
