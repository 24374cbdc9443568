"""slimhub.export.restore: the weights of a network, or everything that is wrong with them."""

import contextlib
import dataclasses

import numpy as np
import pytest
from inputs import write_v2

from slimhub.export import causes, restore, synthetic
from slimhub.export.errors import RestoreError, SourceError
from slimhub.models import catalog

V1 = catalog.get("inception_v1")
KERNEL = "InceptionV1/Conv2d_1a_7x7/weights"
BETA = "InceptionV1/Conv2d_1a_7x7/BatchNorm/beta"
MEAN = "InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_mean"
VARIANCE = "InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_variance"
HEAD = "InceptionV1/Logits/Conv2d_0c_1x1/weights"
HEAD_BIASES = "InceptionV1/Logits/Conv2d_0c_1x1/biases"

# A network of one layer, so that a checkpoint of it is made in no time.
FEATURES = {KERNEL: (7, 7, 3, 4), BETA: (4,), MEAN: (4,), VARIANCE: (4,)}
SHAPES = {**FEATURES, HEAD: (1, 1, 4, 1001), HEAD_BIASES: (1001,)}
WEIGHTS = {
    # No variance is negative.
    name: np.random.RandomState(len(name)).uniform(size=shape).astype(np.float32)
    for name, shape in SHAPES.items()
}
GLOBAL_STEP = {"global_step": np.int64(2016)}


FORMATS = {"v1": synthetic.write_checkpoint, "v2": write_v2}


@pytest.fixture(params=FORMATS)
def write(request, tmp_path):
    """A function that writes a checkpoint, in either format, and opens it; None leaves a variable out."""

    def write(changes=(), **kwargs) -> restore.Reader:
        arrays = {**WEIGHTS, **dict(changes, **kwargs)}
        present = {name: array for name, array in arrays.items() if array is not None}
        FORMATS[request.param](present, tmp_path / "inception_v1.ckpt")
        return restore.Reader(tmp_path / "inception_v1.ckpt")

    return write


def refusal(reader: restore.Reader, shapes=SHAPES, **kwargs) -> list[str]:
    """The lines of the message."""
    with pytest.raises(RestoreError) as caught:
        restore.restore(reader, model=V1, shapes=shapes, **kwargs)
    assert caught.value.exit_code == 3
    return str(caught.value).splitlines()


def assert_same(actual, expected) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == np.float32
        np.testing.assert_array_equal(actual[name], array)


def test_whole(write):
    """A checkpoint that fits gives its arrays, bit for bit, in either format."""
    assert_same(restore.restore(write(), model=V1, shapes=SHAPES), WEIGHTS)


@pytest.mark.parametrize(("name", "number"), [("inception_v1", 230), ("inception_v2", 277)])
def test_archived_checkpoint(checkpoint, name, number):
    """The whole checkpoint of each network can be read."""
    reader = restore.Reader(checkpoint(name))
    model = catalog.get(name)
    weights = restore.restore(reader, model=model, shapes=reader.shapes)
    assert {key: array.shape for key, array in weights.items()} == reader.shapes
    assert len(weights) == number
    assert restore.num_classes(reader, model=model) == 1001


def test_expected_extras(write):
    """What is expected beside the weights is ignored."""
    assert_same(restore.restore(write(GLOBAL_STEP), model=V1, shapes=SHAPES), WEIGHTS)


SLOTS = ("Adadelta", "Adadelta_1", "Adagrad", "Adam", "Adam_1", "Ftrl", "Ftrl_1", "Momentum")
SLOTS += ("RMSProp", "RMSProp_1", "RMSProp_2", "ExponentialMovingAverage")


@pytest.mark.parametrize("shapes", [SHAPES, FEATURES], ids=["classification", "feature_vector"])
def test_slots(write, shapes):
    """What an optimizer and moving averages keep of a variable or of the head is ignored."""
    kept = {f"{name}/{slot}": array for name, array in WEIGHTS.items() for slot in SLOTS}
    scalars = dict.fromkeys(("beta1_power", "train/beta2_power"), np.float32(0.5))
    found = restore.restore(write({**kept, **scalars, **GLOBAL_STEP}), model=V1, shapes=shapes)
    assert_same(found, {name: WEIGHTS[name] for name in shapes})


@pytest.mark.parametrize(
    "name",
    [
        "InceptionV1/Conv2d_9/weights/Momentum",
        "global_step/Momentum",
        f"{KERNEL}/Momentum/Adam",
        f"{KERNEL}/Momentum_1",
        f"{KERNEL}/momentum",
        f"train/{KERNEL}/Momentum",
        f"{HEAD}/Lion",
        "InceptionV1/Logits/Conv2d_0c_1x1/gamma",
        "my_beta1_power",
        "Momentum",
    ],
)
def test_slot_of_nothing(write, name):
    """What is only named like something that a training keeps is not ignored."""
    lines = refusal(write({name: np.float32(1)}))
    assert lines[1:-1] == [f"  + unused    {name}  ()"]


def test_slots_of_an_auxiliary_head(write):
    """A head beside the network may be there with all that a training keeps of it."""
    extras = (*V1.expected_extras, "InceptionV1/AuxLogits/*")
    model = dataclasses.replace(V1, expected_extras=extras)
    names = ("AuxLogits/Conv/weights", "AuxLogits/Conv/weights/RMSProp")
    reader = write({f"InceptionV1/{name}": np.ones(2, "f") for name in names})
    assert_same(restore.restore(reader, model=model, shapes=SHAPES), WEIGHTS)


@pytest.mark.parametrize("without", [(), (HEAD, HEAD_BIASES)], ids=["head", "headless"])
def test_feature_vector(write, without):
    """Without classes, a head may be in the checkpoint or not."""
    reader = write(dict.fromkeys(without))
    weights = restore.restore(reader, model=V1, shapes=FEATURES)
    assert_same(weights, {name: WEIGHTS[name] for name in FEATURES})


def test_number_of_classes(write):
    """The head in the checkpoint says how many classes there are."""
    head = {HEAD: np.ones((1, 1, 4, 1000), "f"), HEAD_BIASES: np.ones(1000, "f")}
    reader = write(head)
    assert restore.num_classes(reader, model=V1) == 1000
    shapes = {**SHAPES, HEAD: (1, 1, 4, 1000), HEAD_BIASES: (1000,)}
    assert_same(restore.restore(reader, model=V1, shapes=shapes), {**WEIGHTS, **head})


@pytest.mark.parametrize("shape", [None, (), (4, 1000), (1, 1, 4, 0)])
def test_no_number_of_classes(write, shape):
    """A checkpoint without a head, or with none that a network could have, is taken for 1001 classes."""
    reader = write({HEAD: None if shape is None else np.ones(shape, "f")})
    assert restore.num_classes(reader, model=V1) == 1001
    line = "  - missing   " if shape is None else "  ! shape     "
    assert refusal(reader)[1].startswith(line + HEAD)


def test_message(write):
    """All problems are told at once: counts, a line for each variable, and the likely causes."""
    kernel = WEIGHTS[KERNEL].copy()
    kernel[0, 0, 0] = (np.nan, np.inf, -np.inf, 1)
    reader = write(
        {
            KERNEL: kernel,
            BETA: None,
            MEAN: np.zeros(5, "f"),
            VARIANCE: np.ones(4, np.float64),
            HEAD_BIASES: np.zeros(1000, "f"),
            "InceptionV1/AuxLogits/weights": np.zeros((1, 2), "f"),
            "learning_rate": np.float32(1),
            **GLOBAL_STEP,
        }
    )
    assert refusal(reader) == [
        "inception_v1.ckpt does not fit inception_v1 (6 variables wanted, 5 found):",
        "  - missing   InceptionV1/Conv2d_1a_7x7/BatchNorm/beta             (4,)",
        "  ! shape     InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_mean      checkpoint (5,), model (4,)",
        "  ! dtype     InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_variance  checkpoint float64, model float32",
        "  ! value     InceptionV1/Conv2d_1a_7x7/weights                    3 of 588 values are not finite",
        "  ! shape     InceptionV1/Logits/Conv2d_0c_1x1/biases              checkpoint (1000,), model (1001,)",
        "  + unused    InceptionV1/AuxLogits/weights                        (1, 2)",
        "  + unused    learning_rate                                        ()",
        "Its classification layer is inconsistent: by its weights it has 1001 classes."
        " (Published ones have 1001, the first one background.)",
    ]


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int64", "uint8", "bool"])
def test_dtype(write, dtype):
    """Weights that aren't float32 are refused, not converted."""
    lines = refusal(write({BETA: np.ones(4, dtype)}))
    assert lines[1:] == [f"  ! dtype     {BETA}  checkpoint {dtype}, model float32"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value(write, value):
    """Weights that aren't finite are refused."""
    lines = refusal(write({BETA: np.array([0, 1, value, 2], np.float32)}))
    assert lines[1:] == [f"  ! value     {BETA}  1 of 4 values are not finite"]


def test_negative_variance(write):
    """No variance may be negative."""
    lines = refusal(write({VARIANCE: np.array([0, 1, -1, -2], np.float32)}))
    assert lines[1:] == [f"  ! value     {VARIANCE}  2 of 4 values are negative"]


@pytest.mark.parametrize("shape", [(), (5,), (4, 1), (1, 4)])
def test_shape(write, shape):
    """Weights of another shape are refused, even where the number of values is the same."""
    lines = refusal(write({BETA: np.ones(shape, np.float32)}))
    assert lines[1:] == [f"  ! shape     {BETA}  checkpoint {shape}, model (4,)"]


@pytest.mark.parametrize("allow_unused", [False, True])
def test_missing(write, allow_unused):
    """A variable that is missing is refused, even if unused ones are allowed."""
    lines = refusal(write({VARIANCE: None}), allow_unused=allow_unused)
    assert lines == [
        "inception_v1.ckpt does not fit inception_v1 (6 variables wanted, 5 found):",
        f"  - missing   {VARIANCE}  (4,)",
    ]


def test_unused(write):
    """Variables that nothing wants are refused, sorted, with the flag that allows them."""
    reader = write(
        {
            "InceptionV1/Conv2d_9/weights": np.ones((1, 2), np.float32),
            "words": np.array([b"a", b"b"], object),
        }
    )
    lines = refusal(reader)
    assert [line.split()[:3] for line in lines[1:-1]] == [
        ["+", "unused", "InceptionV1/Conv2d_9/weights"],
        ["+", "unused", "words"],
    ]
    assert lines[-1] == (
        "Every wanted variable is there: --allow_unused exports without the unused ones."
    )
    weights = restore.restore(reader, model=V1, shapes=SHAPES, allow_unused=True)
    assert_same(weights, WEIGHTS)


def test_no_head(write):
    """A checkpoint without a head is told to be good for feature vectors."""
    *lines, hint = refusal(write({HEAD: None, HEAD_BIASES: None}))
    assert [line.split()[:3] for line in lines[1:]] == [
        ["-", "missing", HEAD_BIASES],
        ["-", "missing", HEAD],
    ]
    assert hint == "It has no classification layer: --task=feature_vector needs none."


def test_half_a_head(write):
    """A head without its biases is not told to be none."""
    assert refusal(write({HEAD_BIASES: None}))[1:] == [f"  - missing   {HEAD_BIASES}  (1001,)"]


@pytest.mark.parametrize("allow_unused", [False, True])
def test_biases_instead_of_batch_norm(write, allow_unused):
    """A network that was built without its arg scope is recognized by its biases."""
    changes = dict.fromkeys((BETA, MEAN, VARIANCE))
    changes["InceptionV1/Conv2d_1a_7x7/biases"] = np.zeros(4, np.float32)
    lines = refusal(write(changes), allow_unused=allow_unused)
    assert lines[-1] == (
        "It has biases in place of batch norm: its network was built without Slim's arg scope."
    )


def test_classes_of_weights_and_biases(write):
    """A head whose weights and biases have different numbers of classes is told to be so."""
    reader = write({HEAD: np.ones((1, 1, 4, 1000), np.float32)})
    shapes = {**SHAPES, HEAD: (1, 1, 4, 1000), HEAD_BIASES: (1000,)}
    assert refusal(reader, shapes)[1:] == [
        f"  ! shape     {HEAD_BIASES}  checkpoint (1001,), model (1000,)",
        "Its classification layer is inconsistent: by its weights it has 1000 classes."
        " (Published ones have 1001, the first one background.)",
    ]


@pytest.mark.parametrize(
    ("name", "says"), [("inception_v1", "the first one"), ("vgg_16", "none of them")]
)
def test_background(name, says):
    """A head that is inconsistent is told how many classes published ones have, and of which background."""
    model = catalog.get(name)
    weights, biases = (f"{model.scope}/{model.head}/{kind}" for kind in ("weights", "biases"))
    [line] = causes.likely(
        [("! shape", biases, "")],
        model=model,
        shapes={weights: (1, 1, 4, 7), biases: (8,)},
        wanted=[weights, biases],
    )
    assert line.endswith(
        f"has 7 classes. (Published ones have {model.num_classes}, {says} background.)"
    )


def test_other_network(checkpoint):
    """The checkpoint of another network is recognized by its scopes, and still listed whole."""
    shapes = restore.Reader(checkpoint("inception_v1")).shapes
    lines = refusal(restore.Reader(checkpoint("inception_v2")), shapes)
    assert lines[0] == (
        "inception_v2.ckpt does not fit inception_v1 (230 variables wanted, 0 found):"
    )
    assert sum(line.startswith("  - missing   InceptionV1/") for line in lines) == 230
    assert sum(line.startswith("  + unused    InceptionV2/") for line in lines) == 277
    assert lines[1 + 230 + 277 :] == [
        "It is of another network: its scopes are InceptionV2, which fit inception_v2 "
        "(--model=inception_v2)."
    ]


def test_nothing_of_the_network(write):
    """A checkpoint of no network is told to have no scopes but its own."""
    assert refusal(write({**dict.fromkeys(WEIGHTS), **GLOBAL_STEP}))[-1] == (
        "It is of another network: its scopes are global_step."
    )


@pytest.mark.parametrize("name", ["model", "model.index", "model.data-00000-of-00001"])
def test_every_damage(tmp_path, name):
    """Whichever byte of a checkpoint is damaged, the right weights come out, or a `SourceError`."""
    arrays = {"InceptionV1/a": WEIGHTS[BETA], "InceptionV1/b": WEIGHTS[MEAN]}
    (synthetic.write_checkpoint if name == "model" else write_v2)(arrays, tmp_path / "model")
    data = (tmp_path / name).read_bytes()
    for at in range(len(data)):
        (tmp_path / name).write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with contextlib.suppress(SourceError):
            reader = restore.Reader(tmp_path / "model")
            assert_same({key: reader.get(key) for key in reader.shapes}, arrays)
