"""The weights of a network, or everything that is wrong with them."""

import contextlib
import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow as tf
from checkpoints import assert_same_weights, write_v2
from stem import STEMS, stem_in_catalog

from slimhub.export.checkpoints import restore, synthetic
from slimhub.export.errors import Problem, RestoreError, SourceError
from slimhub.export.writers import slim_graph
from slimhub.models import catalog

V1 = catalog.get("inception_v1")
LAYER = "InceptionV1/Conv2d_1a_7x7"
KERNEL = f"{LAYER}/weights"
BETA, MEAN, VARIANCE = (
    f"{LAYER}/BatchNorm/{kind}" for kind in ("beta", "moving_mean", "moving_variance")
)
HEAD, HEAD_BIASES = (f"InceptionV1/Logits/Conv2d_0c_1x1/{kind}" for kind in ("weights", "biases"))

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
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a checkpoint and opens it; None leaves a variable out."""

    def write(changes=(), *, save=write_v2) -> restore.Reader:
        arrays = {**WEIGHTS, **dict(changes)}
        present = {name: array for name, array in arrays.items() if array is not None}
        save(present, tmp_path / "inception_v1.ckpt")
        return restore.Reader(tmp_path / "inception_v1.ckpt")

    return write


def refusal(reader: restore.Reader, shapes=SHAPES, model=V1, **kwargs) -> RestoreError:
    with pytest.raises(RestoreError) as caught:
        restore.restore(reader, model=model, shapes=shapes, **kwargs)
    error = caught.value
    assert error.exit_code == 3
    assert (error.checkpoint, error.model) == (reader.path.name, model.name)
    assert error.num_variables == len(shapes)
    return error


def problem(kind: str, name: str, found: str | None, expected: str | None) -> Problem:
    return Problem(kind=kind, name=name, found=found, expected=expected)


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
def test_whole(write, save):
    """A checkpoint that fits gives its arrays, bit for bit, in either format."""
    assert_same_weights(restore.restore(write(save=save), model=V1, shapes=SHAPES), WEIGHTS)


SLOTS = ("Adadelta", "Adadelta_1", "Adagrad", "Adam", "Adam_1", "Ftrl", "Ftrl_1", "Momentum")
SLOTS += ("RMSProp", "RMSProp_1", "RMSProp_2", "ExponentialMovingAverage")


@pytest.mark.parametrize("shapes", [SHAPES, FEATURES], ids=["classification", "feature_vector"])
def test_slots(write, shapes):
    """The state of an optimizer, moving averages, and an unwanted head are ignored."""
    slots = {f"{name}/{slot}": array for name, array in WEIGHTS.items() for slot in SLOTS}
    scalars = dict.fromkeys(("beta1_power", "train/beta2_power"), np.float32(0.5))
    found = restore.restore(write({**slots, **scalars, **GLOBAL_STEP}), model=V1, shapes=shapes)
    assert_same_weights(found, {name: WEIGHTS[name] for name in shapes})


@pytest.mark.parametrize(
    "name",
    [
        "InceptionV1/Conv2d_9/weights/Momentum",
        f"{KERNEL}/Momentum/Adam",
        f"{KERNEL}/Momentum_1",
        f"train/{KERNEL}/Momentum",
        f"{HEAD}/Lion",
        "my_beta1_power",
        "Momentum",
    ],
)
def test_unused(write, name):
    """A variable that only resembles the state of a training is refused, or ignored with the flag."""
    reader = write({name: np.float32(1)})
    error = refusal(reader)
    assert error.problems == (problem("unused", name, "()", None),)
    assert error.causes == (
        "Every wanted variable is there: --allow_unused exports without the unused ones.",
    )
    weights = restore.restore(reader, model=V1, shapes=SHAPES, allow_unused=True)
    assert_same_weights(weights, WEIGHTS)


def test_slots_of_an_auxiliary_head(write):
    """A head beside the network may be there with the state that a training keeps of it."""
    extras = (*V1.expected_extras, "InceptionV1/AuxLogits/*")
    model = dataclasses.replace(V1, expected_extras=extras)
    names = ("AuxLogits/Conv/weights", "AuxLogits/Conv/weights/RMSProp")
    reader = write({f"InceptionV1/{name}": np.ones(2, "f") for name in names})
    assert_same_weights(restore.restore(reader, model=model, shapes=SHAPES), WEIGHTS)


def test_headless(write):
    """Feature vectors need no head in the checkpoint."""
    weights = restore.restore(write(dict.fromkeys((HEAD, HEAD_BIASES))), model=V1, shapes=FEATURES)
    assert_same_weights(weights, {name: WEIGHTS[name] for name in FEATURES})


def test_number_of_classes(write):
    """The head in the checkpoint says how many classes there are."""
    head = {HEAD: np.ones((1, 1, 4, 1000), "f"), HEAD_BIASES: np.ones(1000, "f")}
    reader = write(head)
    assert restore.num_classes(reader, model=V1) == 1000
    shapes = {**SHAPES, HEAD: (1, 1, 4, 1000), HEAD_BIASES: (1000,)}
    assert_same_weights(restore.restore(reader, model=V1, shapes=shapes), {**WEIGHTS, **head})


@pytest.mark.parametrize("shape", [None, (), (4, 1000), (1, 1, 4, 0)])
def test_no_number_of_classes(write, shape):
    """A checkpoint without a usable head counts as one of 1001 classes."""
    reader = write({HEAD: None if shape is None else np.ones(shape, "f")})
    assert restore.num_classes(reader, model=V1) == 1001
    [found] = refusal(reader).problems
    assert (found.kind, found.name) == ("missing" if shape is None else "shape", HEAD)


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
def test_problems(write, save):
    """All problems are reported at once, with what was found and expected, and listed by kind."""
    kernel = WEIGHTS[KERNEL].copy()
    kernel[0, 0, 0] = (np.nan, np.inf, -np.inf, 1)
    changes = {
        KERNEL: kernel,
        BETA: None,
        MEAN: np.zeros(5, "f"),
        VARIANCE: np.ones(4, np.float64),
        HEAD_BIASES: np.zeros(1000, "f"),
        "InceptionV1/AuxLogits/weights": np.zeros((1, 2), "f"),
        "learning_rate": np.float32(1),
        **GLOBAL_STEP,
    }
    error = refusal(write(changes, save=save))
    assert error.problems == (
        problem("missing", BETA, None, "(4,)"),
        problem("shape", MEAN, "(5,)", "(4,)"),
        problem("dtype", VARIANCE, "float64", "float32"),
        problem("value", KERNEL, "3 of 588 values are not finite", "finite"),
        problem("shape", HEAD_BIASES, "(1000,)", "(1001,)"),
        problem("unused", "InceptionV1/AuxLogits/weights", "(1, 2)", None),
        problem("unused", "learning_rate", "()", None),
    )
    counts = (
        "inception_v1.ckpt does not fit inception_v1, which has 6 variables: 1 missing, 2 of another "
        "shape, 1 of another dtype, 1 with bad values, 2 unused."
    )
    assert str(error).splitlines() == [
        " ".join([counts, *error.causes]),
        "  - missing   InceptionV1/Conv2d_1a_7x7/BatchNorm/beta             (4,)",
        "  ! shape     InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_mean      checkpoint (5,), model (4,)",
        "  ! shape     InceptionV1/Logits/Conv2d_0c_1x1/biases              checkpoint (1000,), model (1001,)",
        "  ! dtype     InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_variance  checkpoint float64, model float32",
        "  ! value     InceptionV1/Conv2d_1a_7x7/weights                    3 of 588 values are not finite",
        "  + unused    InceptionV1/AuxLogits/weights                        (1, 2)",
        "  + unused    learning_rate                                        ()",
    ]


def test_long_message(write):
    """Ten variables of each kind are listed, unless all are asked for; the record has all."""
    unused = {f"words/{i:02}": np.float32(1) for i in range(12)}
    error = refusal(write({**unused, BETA: None}))

    def listed(text: str) -> list[str]:
        return [line.split()[2] for line in text.splitlines()[1:]]

    assert listed(str(error)) == [BETA, *(f"words/{i:02}" for i in range(10)), "and"]
    assert listed(error.describe(verbose=True)) == [BETA, *unused]
    record = error.record()
    assert record["message"] == str(error)
    assert record["problems"] == [dataclasses.asdict(found) for found in error.problems]
    assert len(record["problems"]) == 13
    # From one process to another.
    assert pickle.loads(pickle.dumps(error)).record() == record
    assert (record["checkpoint"], record["model"]) == ("inception_v1.ckpt", "inception_v1")


NOT_FINITE = "1 of 4 values are not finite"
PROBLEMS = {
    **{
        dtype: (np.ones(4, dtype), "dtype", dtype, "float32")
        for dtype in ("float64", "int32", "uint8", "bool", "complex64")
    },
    "string": (np.array([b"a"] * 4, object), "dtype", "string", "float32"),
    **{
        f"shape{shape}": (np.ones(shape, "f"), "shape", str(shape), "(4,)")
        for shape in ((), (5,), (0,), (4, 1), (1, 4))
    },
    **{
        f"{value}": (np.array([0, 1, value, 2], dtype), "value", NOT_FINITE, "finite")
        for value, dtype in ((np.nan, "f"), (-np.inf, "f"), (np.inf, np.float16))
    },
    "missing": (None, "missing", None, "(4,)"),
}


@pytest.mark.parametrize("allow_unused", [False, True])
@pytest.mark.parametrize(("array", "kind", "found", "expected"), PROBLEMS.values(), ids=PROBLEMS)
def test_problem(write, array, kind, found, expected, allow_unused):
    """A variable of another dtype or shape, that is not finite, or that is missing, is refused."""
    error = refusal(write({BETA: array}), allow_unused=allow_unused)
    assert error.problems == (problem(kind, BETA, found, expected),)
    assert len(error.causes) == (kind in ("dtype", "value"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_conversion(tmp_path, dtype):
    """Weights of a dtype that float32 holds are converted, every finite number to itself."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(tf.as_dtype(dtype).as_numpy_dtype)
    numbers = numbers[np.isfinite(numbers.astype(np.float32))]
    write_v2({**WEIGHTS, BETA: numbers}, tmp_path / "model")
    shapes = {**SHAPES, BETA: numbers.shape}
    reader = restore.Reader(tmp_path / "model")
    weights = restore.restore(reader, model=V1, shapes=shapes)
    assert restore.converted_dtypes(reader, shapes) == (dtype,)
    assert restore.converted_dtypes(reader, [KERNEL]) == ()
    assert weights[BETA].dtype == np.float32
    # Bit by bit, of -0.0 and of the smallest ones too.
    back = weights[BETA].astype(numbers.dtype)
    np.testing.assert_array_equal(back.view(np.uint16), numbers.view(np.uint16))


@pytest.mark.parametrize("name", ["inception_v1", "resnet_v1_50"])
def test_variance(write, name):
    """Variances may be below 0 if batch norm's epsilon makes them positive; others are refused."""
    model = catalog.get(name)
    epsilon = np.float32(model.batch_norm.epsilon)

    shapes = {VARIANCE: (4,)}
    good = np.array([1, 0, -1e-5, np.nextafter(-epsilon, np.float32(0))], np.float32)
    reader = write({VARIANCE: good})
    weights = restore.restore(reader, model=model, shapes=shapes, allow_unused=True)
    assert_same_weights(weights, {VARIANCE: good})
    reader = write({VARIANCE: np.array([0, -epsilon, 1, -2], np.float32)})
    found = f"2 of 4 values are not above {-epsilon:g}, the smallest is -2"
    expected = problem("value", VARIANCE, found, f"above {-epsilon:g}")
    assert refusal(reader, shapes, model, allow_unused=True).problems == (expected,)


@pytest.mark.parametrize("model", STEMS.values(), ids=STEMS)
def test_epsilon(model):
    """The epsilon that variances are held to is the one in the graph."""
    with stem_in_catalog():
        built = slim_graph.build(model, version=3, num_classes=None, training=False)
    nodes = built.graph.as_graph_def().node
    found = [node.attr["epsilon"].f for node in nodes if node.op.startswith("FusedBatchNorm")]
    norms = model.batch_norm
    assert found == ([] if norms is None else [np.float32(norms.epsilon)] * norms.count)


AVERAGES = {f"{name}/ExponentialMovingAverage": array for name, array in WEIGHTS.items()}
CAUSES = {
    "no_head": (
        {HEAD: None, HEAD_BIASES: None},
        "It has no classification layer: --task=feature_vector needs none.",
    ),
    "half_a_head": ({HEAD_BIASES: None}, None),
    "1000_biases": (
        {HEAD_BIASES: np.ones(1000, "f")},
        "Its classification layer is inconsistent: by its weights it has 1001 classes. (Published ones "
        "have 1001, the first one background.)",
    ),
    "averages_only": (
        {**dict.fromkeys(WEIGHTS), **AVERAGES},
        "It has 6 of the missing variables as moving averages only: --moving_averages exports these.",
    ),
    "biases": (
        {**dict.fromkeys((BETA, MEAN, VARIANCE)), f"{LAYER}/biases": np.zeros(4, "f")},
        "It has biases in place of batch norm: its network was built without Slim's arg scope.",
    ),
    "other_network": (
        {**dict.fromkeys(WEIGHTS), "InceptionV2/Conv2d_1a_7x7/weights": np.ones(1, "f")},
        "It is of another network: its scopes are InceptionV2, which fit inception_v2 "
        "(--model=inception_v2).",
    ),
}


@pytest.mark.parametrize(("changes", "cause"), CAUSES.values(), ids=CAUSES)
def test_cause(write, changes, cause):
    """The likely cause of problems is said, with its remedy."""
    reader = write(changes)
    assert refusal(reader).causes == (() if cause is None else (cause,))
    if cause and "averages" in cause:
        assert restore.classes_of_head(reader, model=V1) == 1001


def unreadable(path, shapes=SHAPES) -> SourceError:
    with pytest.raises(SourceError) as caught:
        restore.restore(restore.Reader(path), model=V1, shapes=shapes)
    assert (caught.value.reason, caught.value.path) == ("damaged", path)
    return caught.value


NO_CHECKPOINTS = {
    "html": b"<!DOCTYPE html><html><title>Sign in</title></html>" * 99,
    "magic_only": bytes(40) + bytes.fromhex("57fb808b247547db"),
}


@pytest.mark.parametrize("name", ["model", "model.index", "model.data-00000-of-00001"])
@pytest.mark.parametrize("content", NO_CHECKPOINTS.values(), ids=NO_CHECKPOINTS)
def test_no_checkpoint_in_file(tmp_path, name, content):
    """A file that is no checkpoint is refused, as a V1 file and as each file of a V2 one."""
    if name != "model":
        write_v2(WEIGHTS, tmp_path / "model")
    (tmp_path / name).write_bytes(content)
    unreadable(tmp_path / "model")


def test_missing_shard(tmp_path):
    """A V2 checkpoint without one of its shards is refused."""
    prefixes = [str(tmp_path / f"part{i}") for i in range(3)]
    for i, prefix in enumerate(prefixes):
        write_v2({name: WEIGHTS[name] for name in sorted(WEIGHTS)[i::3]}, prefix)
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes, destination_prefix=str(tmp_path / "model")
    )
    (tmp_path / "model.data-00001-of-00003").unlink()
    unreadable(tmp_path / "model")


SLICES = {
    "part": (KERNEL, "7 7 3 4 0,7:0,7:0,3:0,2", 2),
    # No memory holds it.
    "enormous": (HEAD, "1 1 4 1000000000000 0,1:0,1:0,4:0,1", 1),
}


@pytest.mark.parametrize(("name", "declared", "length"), SLICES.values(), ids=SLICES)
def test_slice(tmp_path, name, declared, length):
    """A V1 file with only a part of a variable that it declares is refused."""
    arrays = {**WEIGHTS, name: np.ascontiguousarray(WEIGHTS[name][..., :length])}
    tf.raw_ops.SaveSlices(
        filename=str(tmp_path / "model"),
        tensor_names=list(arrays),
        shapes_and_slices=[declared if key == name else "" for key in arrays],
        data=list(arrays.values()),
    )
    shape = tuple(map(int, declared.split()[:4]))
    unreadable(tmp_path / "model", {**SHAPES, name: shape})


def test_damaged_object_graph(tmp_path):
    """A graph of objects that can't be parsed is one error, with the remedy."""
    write_v2({**WEIGHTS, GRAPH: np.array(b"\xff" * 9, object)}, tmp_path / "model")
    error = unreadable(tmp_path / "model")
    assert str(error) == (
        "model can't be read as a TensorFlow checkpoint (a V1 file, or the prefix of a V2 one): "
        f"{error.found}. Get it anew; if it is an archive, its name must end in .tar.gz or .tgz."
    )


@pytest.mark.parametrize("name", ["model", "model.index", "model.data-00000-of-00001"])
def test_flip(tmp_path, name):
    """A checkpoint with a changed byte, or that is cut off, gives the right weights or an error."""
    arrays = {"InceptionV1/a": WEIGHTS[BETA], "InceptionV1/b": WEIGHTS[MEAN]}
    FORMATS["v1" if name == "model" else "v2"](arrays, tmp_path / "model")
    data = (tmp_path / name).read_bytes()
    for at in range(len(data)):
        for changed in (data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :], data[:at]):
            (tmp_path / name).write_bytes(changed)
            with contextlib.suppress(SourceError):
                reader = restore.Reader(tmp_path / "model")
                assert_same_weights({key: reader.get(key) for key in reader.shapes}, arrays)
                assert len(changed) == len(data)
