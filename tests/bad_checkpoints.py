"""Checkpoints that are damaged, of another network, or something else."""

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from inputs import SEED, SHARD, UNREADABLE, V1, Bad, Good, file, flipped, series, truncated

Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays], None]

FLAGS = (f"--checkpoint={V1}",)

CONVOLUTIONS = ("Conv2d_1a_7x7", "Conv2d_2b_1x1", "Conv2d_2c_3x3")
HEAD = "InceptionV1/Logits/Conv2d_0c_1x1"
NAMES = (
    *(f"InceptionV1/{layer}/weights" for layer in CONVOLUTIONS),
    *(
        f"InceptionV1/{layer}/BatchNorm/{kind}"
        for layer in CONVOLUTIONS
        for kind in ("beta", "moving_mean", "moving_variance")
    ),
    f"{HEAD}/weights",
    f"{HEAD}/biases",
)
KERNEL, BETA = NAMES[0], NAMES[3]
DTYPES = ("float64", "float16", "int32", "int64", "uint8", "bool", "complex64")


def drop(*names: str) -> Change:
    return lambda arrays: [arrays.pop(name) for name in names]


def add(name: str, array) -> Change:
    return lambda arrays: arrays.update({name: np.asarray(array, np.float32)})


def as_dtype(name: str, dtype: str) -> Change:
    def change(arrays: Arrays) -> None:
        import tensorflow as tf

        arrays[name] = tf.cast(arrays[name], dtype).numpy()

    return change


def one_value(name: str, value: float) -> Change:
    """In a place of its own for each variable."""

    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name].copy()
        at = random.Random(f"{SEED} {name}").randrange(arrays[name].size)
        arrays[name].flat[at] = value

    return change


def reshaped(name: str, function: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda arrays: arrays.update({name: np.ascontiguousarray(function(arrays[name]))})


def renamed(function: Callable[[str], str]) -> Change:
    def change(arrays: Arrays) -> None:
        for name in list(arrays):
            arrays[function(name)] = arrays.pop(name)

    return change


def zeros(arrays: Arrays) -> None:
    arrays.update({name: np.zeros_like(array) for name, array in arrays.items()})


def biases_for_norms(arrays: Arrays) -> None:
    for layer in CONVOLUTIONS:
        for kind in ("moving_mean", "moving_variance"):
            del arrays[f"InceptionV1/{layer}/BatchNorm/{kind}"]
        beta = arrays.pop(f"InceptionV1/{layer}/BatchNorm/beta")
        arrays[f"InceptionV1/{layer}/biases"] = beta


# Of the arrays, what is changed, and what the message says of it.
ARRAYS: dict[str, tuple[Change, str]] = {
    **{f"missing-{i:02}": (drop(name), f"- missing   {name} ") for i, name in enumerate(NAMES)},
    **{
        f"misshapen-{i:02}": (reshaped(name, lambda a: a[..., :-1]), f"! shape     {name} ")
        for i, name in enumerate(NAMES[:-2:2])
    },
    **{
        f"{dtype}-{i}": (as_dtype(name, dtype), f"! dtype     {name}  checkpoint {dtype}")
        for dtype in DTYPES
        for i, name in enumerate(random.Random(f"{SEED} {dtype}").sample(NAMES, 1))
    },
    **{
        f"{value}-{i:02}".replace("+", ""): (
            one_value(name, float(value)),
            f"! value     {name}  1 of ",
        )
        for value, names in (("nan", NAMES[::3]), ("+inf", NAMES[1::4]), ("-inf", NAMES[3::4]))
        for i, name in enumerate(names)
    },
    **{
        f"negative-variance-{i}": (one_value(name, -0.5), f"! value     {name}  1 of ")
        for i, name in enumerate(name for name in NAMES if name.endswith("/moving_variance"))
    },
    "all-nan": (
        lambda arrays: arrays.update({KERNEL: np.full_like(arrays[KERNEL], np.nan)}),
        "9408 of 9408 values are not finite",
    ),
    "transposed": (reshaped(KERNEL, lambda a: a.transpose(3, 2, 0, 1)), "checkpoint (64, 3, 7, 7)"),
    "flat": (reshaped(KERNEL, np.ravel), "checkpoint (9408,)"),
    "scalar": (lambda arrays: arrays.update({BETA: np.float32(0)}), "checkpoint ()"),
    "no-values": (reshaped(BETA, lambda a: a[:0]), "checkpoint (0,)"),
    "extra": (add("InceptionV1/Conv2d_9/weights", [1, 2]), "+ unused    InceptionV1/Conv2d_9/"),
    "extra-elsewhere": (add("learning_rate", 1), "+ unused    learning_rate"),
    "extra-with-newline": (add("a\nb", 1), r"+ unused    a\nb "),
    "extra-with-escape": (add("a\x1b[2Jb", 1), r"+ unused    a\x1b[2Jb "),
    "moving-average-of-nothing": (
        add("InceptionV1/Conv2d_9/weights/ExponentialMovingAverage", [1]),
        "+ unused    InceptionV1/Conv2d_9/weights/ExponentialMovingAverage",
    ),
    "momentum-of-nothing": (add("Conv2d_9/Momentum", [1]), "+ unused    Conv2d_9/Momentum"),
    "slot-of-no-optimizer": (add(f"{KERNEL}/Mom", [1]), f"+ unused    {KERNEL}/Mom"),
    "gamma": (
        add("InceptionV1/Conv2d_1a_7x7/BatchNorm/gamma", np.ones(64)),
        "BatchNorm/gamma  (64,)",
    ),
    "head-of-1000-without-biases": (
        lambda arrays: (drop(f"{HEAD}/biases")(arrays), one_class_less(arrays)),
        f"- missing   {HEAD}/biases  (1000,)",
    ),
    "head-of-1000-weights": (lambda arrays: one_class_less(arrays), "by its weights it has 1000"),
    "head-of-1000-biases": (
        reshaped(f"{HEAD}/biases", lambda a: a[1:]),
        "by its weights it has 1001 classes",
    ),
    "head-without-classes": (
        reshaped(f"{HEAD}/weights", lambda a: a[..., :0]),
        f"! shape     {HEAD}/weights  checkpoint (1, 1, 192, 0)",
    ),
    "head-flat": (reshaped(f"{HEAD}/weights", np.squeeze), "checkpoint (192, 1001)"),
    "no-head": (drop(f"{HEAD}/weights", f"{HEAD}/biases"), "--task=feature_vector needs none"),
    "biases-for-norms": (biases_for_norms, "It has biases in place of batch norm"),
    "of-inception-v2": (
        renamed(lambda name: name.replace("V1", "V2")),
        "its scopes are InceptionV2, which fit inception_v2 (--model=inception_v2).",
    ),
    "of-lower-case": (renamed(str.lower), "of another network: its scopes are inceptionv1."),
    "of-a-wrapper": (
        renamed(lambda name: f"tower/{name}"),
        "Its variables of InceptionV1 are below tower, as in a network that is part of another",
    ),
    "of-many-scopes": (
        renamed(lambda name: f"{len(name)}/{name}"),
        "Its variables of InceptionV1 are below 3",
    ),
    "of-keras": (
        renamed(lambda name: f"{name}/.ATTRIBUTES/VARIABLE_VALUE"),
        "It is a checkpoint of objects, as Keras and tf.train.Checkpoint write them",
    ),
    "with-colon-zero": (renamed(lambda name: f"{name}:0"), f"+ unused    {KERNEL}:0"),
    "only-a-step": (
        lambda arrays: (arrays.clear(), arrays.update(global_step=np.int64(1))),
        "It is of another network: its scopes are global_step.",
    ),
}


def one_class_less(arrays: Arrays) -> None:
    """Without "background", as ImageNet's own classes."""
    name = f"{HEAD}/weights"
    arrays[name] = np.ascontiguousarray(arrays[name][..., 1:])


def _zip(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"data")
    return data.getvalue()


# Files that are no checkpoint.
FILES = {
    "empty": b"",
    "text": b"Inception V1, trained on ImageNet.\n",
    "html": b"<!DOCTYPE html><html><title>Sign in</title></html>" * 99,
    "zeros": bytes(9999),
    "noise": random.Random(SEED).randbytes(99999),
    "state": b'model_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n',
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(2048),
    "keras": _zip("metadata.json", "config.json", "model.weights.h5"),
    "pytorch": _zip("archive/data.pkl", "archive/version"),
    "npz": _zip("weights.npy"),
    "pickle": b"\x80\x04\x95" + bytes(99),
    "json": json.dumps({"weights": [0.5] * 99}).encode(),
    "onnx": b"\x08\x08\x12\x07pytorch" + bytes(99),
    "tflite": b"\x1c\x00\x00\x00TFL3" + bytes(99),
    "safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
    "tar": b"inception_v1.ckpt" + bytes(1007),
    "magic-only": bytes(40) + bytes.fromhex("57fb808b247547db"),
}


def corpus() -> Iterator[Bad]:
    for name, (change, says) in ARRAYS.items():
        yield _v1(name, _saved(change), says)
    for name, data in FILES.items():
        yield _v1(name, file(V1, lambda good, data=data: data), UNREADABLE)
    yield _v1("all-zeros", _saved(zeros), "the same comes out for different images", code=1)
    yield _v1("is-the-archive", file(V1, lambda good: good.archive), "must end in .tar.gz or .tgz")
    yield _v1("v2-data-as-v1", file(V1, lambda good: good.v2[SHARD]), UNREADABLE)
    yield _v1("v2-index-as-v1", file(V1, lambda good: good.v2[".index"]), "does not fit")
    yield _v1("with-a-byte-before", file(V1, lambda good: b"\n" + good.v1), UNREADABLE)
    yield _v1("with-a-byte-behind", file(V1, lambda good: good.v1 + b"\n"), UNREADABLE)
    yield _v1("as-text", file(V1, lambda good: good.v1.replace(b"\n", b"\r\n")), UNREADABLE)
    yield _v1("one-part", _sliced({KERNEL: "7 7 3 64 0,7:0,7:0,3:0,32"}), "values of " + KERNEL)
    # Declared to be so large that no memory holds it, as its head would say.
    yield _v1(
        "declared-enormous",
        _sliced({f"{HEAD}/weights": "1 1 192 1000000000000 0,1:0,1:0,192:0,1"}),
        f"values of {HEAD}/weights are damaged or missing: 192000000000000 values in ",
    )
    yield from _series("truncated", 30, lambda good, at: truncated(good.v1, at))
    # As a disk leaves it that was full.
    yield from _series("zeros-behind", 5, lambda good, at: zeros_behind(good.v1, at))


def flips() -> Iterator[Bad]:
    """One bit of a V1 file each. Not every bit is read."""
    yield from _series("flip", 60, lambda good, at: flipped(good.v1, at))
    yield from _series(
        "footer-flip", 12, lambda good, at: good.v1[:-48] + flipped(good.v1[-48:], at)
    )


def zeros_behind(data: bytes, at: float) -> bytes:
    return truncated(data, at).ljust(len(data), b"\0")


def _series(name: str, number: int, content: Callable[[Good, float], bytes]):
    return series(
        f"v1-{name}",
        number,
        make=lambda at: file(V1, lambda good: content(good, at)),
        flags=FLAGS,
        says=UNREADABLE,
    )


def _v1(name: str, make, says: str, *, code: int = 3) -> Bad:
    return Bad(id=f"v1-{name}", make=make, flags=FLAGS, says=says, code=code)


def _saved(change: Change):
    def make(good: Good, directory: Path) -> None:
        from slimhub.export import synthetic

        arrays = dict(good.arrays)
        change(arrays)
        encoded = {name.encode(errors="surrogateescape"): arrays[name] for name in sorted(arrays)}
        synthetic.write_checkpoint(encoded, directory / V1)

    return make


def _sliced(slices: dict[str, str]):
    """Parts of variables, where the whole ones are declared."""

    def make(good: Good, directory: Path) -> None:
        import tensorflow as tf

        arrays = dict(good.arrays)
        for name, declared in slices.items():
            length = int(declared.rpartition(",")[2])
            arrays[name] = np.ascontiguousarray(arrays[name][..., :length])
        tf.raw_ops.SaveSlices(
            filename=str(directory / V1),
            tensor_names=list(arrays),
            shapes_and_slices=[slices.get(name, "") for name in arrays],
            data=list(arrays.values()),
        )

    return make
