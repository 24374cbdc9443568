"""TensorFlow's loaders of SavedModels, of both generations, with each tag set."""

import itertools

import pytest
from clients.reference import COUNTS
from clients.table import of

# As `tags`, of each version.
TAG_SETS = {1: [[], ["train"]], 3: [[], ["train"]], 5: [["serve"]]}
MODES = {"inference": False, "training": True}
MOMENTUM = 0.5

TF2 = ("tf-oldest", "tf-newest")


def pairs(*pairs):
    """Environments, and versions that they can load."""
    return pytest.mark.parametrize(("environment", "version"), pairs, indirect=["environment"])


@pytest.fixture
def applied(run, row, module, network, version, batches):
    """A function that runs a program on all tag sets of a module."""

    def apply(program: str):
        result = run(
            program,
            module=module(*network, version),
            images=batches(version),
            tag_sets=TAG_SETS[version],
            momentum=MOMENTUM,
        )
        row.saw(result)
        return result

    return apply


def expected(slim, network, version, images, noise=None):
    """Outputs of all modes that are loaded by their tags, keyed as the programs do."""
    found = {}
    for mode in ("inference", "training")[: len(TAG_SETS[version])]:
        reference = slim(*network, training=MODES[mode])
        drawn = noise if MODES[mode] else None
        outputs = reference.outputs(version, images, noise=drawn or None)
        found |= {f"{mode} {key}": output for key, output in outputs.items()}
    return found


# TensorFlow 1 reads what TensorFlow 2 wrote for it, not its own SavedModels.
@pairs(("tf-1.15", 1), ("tf-1.15", 3), *itertools.product(TF2, (1, 3, 5)))
@pytest.mark.client("tf.compat.v1.saved_model.loader", "every signature of every tag set")
def test_loader(applied, row, slim, network, version, batches):
    """In a session, every signature of each tag set gives what Slim gives, in training too."""
    result = applied("loader")
    noise = of(result.arrays, "noise ")
    actual = {key: array for key, array in result.arrays.items() if not key.startswith("noise")}
    row.compare(actual, expected(slim, network, version, batches(version), noise))


@pairs(*itertools.product(TF2, (1, 3, 5)))
@pytest.mark.client("tf.saved_model.load", "every signature of every tag set")
def test_load(applied, row, slim, network, version, batches):
    """In TensorFlow 2, every signature of each tag set gives what Slim gives, but for its dropout."""
    result = applied("saved_model")
    wanted = expected(slim, network, version, batches(version))
    assert set(result.arrays) == set(wanted)
    # Dropout draws here what nobody sees.
    random = {
        key for key in wanted if key.startswith("training") and is_behind_dropout(key, network)
    }
    row.compare(
        {key: array for key, array in result.arrays.items() if key not in random},
        {key: array for key, array in wanted.items() if key not in random},
    )
    assert set(result.facts["variables"].values()) == {COUNTS[network][2]}


def is_behind_dropout(key, network):
    """Whether an output of the training mode is random: those of classes are."""
    name = key.split(" ")[-1]
    signature, _, output = name.partition(":")
    if signature == "default":
        signature = f"image_{network[1]}"
    return "classification" in signature and (
        output == "default" or output.endswith(("/Logits", "/Predictions"))
    )
