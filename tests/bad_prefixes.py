"""V2 checkpoints: an index and its data, of which one is damaged, missing, or not a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from bad_checkpoints import BETA, KERNEL
from inputs import SHARD, UNREADABLE, V2, Bad, Good, flipped, series, truncated, write_v2

FLAGS = (f"--checkpoint={V2}",)
INDEX = ".index"
Change = Callable[[dict[str, bytes]], None]


def keep(files: dict[str, bytes], *suffixes: str) -> None:
    for suffix in set(files) - set(suffixes):
        del files[suffix]


# Of the two files, what is changed, and what the message says of it.
FILES: dict[str, tuple[Change, str]] = {
    "without-index": (lambda files: keep(files, SHARD), "is half a V2 checkpoint: of its .index"),
    "without-data": (lambda files: keep(files, INDEX), "files only model2.index is there"),
    "empty-index": (lambda files: files.update({INDEX: b""}), UNREADABLE),
    "empty-data": (lambda files: files.update({SHARD: b""}), UNREADABLE),
    "both-empty": (lambda files: files.update({INDEX: b"", SHARD: b""}), UNREADABLE),
    "text-index": (lambda files: files.update({INDEX: b"InceptionV1/Conv2d\n" * 99}), UNREADABLE),
    "swapped": (
        lambda files: files.update({INDEX: files[SHARD], SHARD: files[INDEX]}),
        UNREADABLE,
    ),
    "zeros-for-data": (
        lambda files: files.update({SHARD: bytes(len(files[SHARD]))}),
        UNREADABLE,
    ),
    "shards-miscounted": (
        lambda files: files.update({".data-00000-of-00002": files.pop(SHARD)}),
        UNREADABLE,
    ),
    "other-shard": (
        lambda files: files.update({".data-00001-of-00002": files.pop(SHARD)}),
        UNREADABLE,
    ),
}


def missing_shard(number: int):
    """A checkpoint of three shards, of which two are there."""

    def make(good: Good, directory: Path) -> None:
        import tensorflow as tf

        names = sorted(good.arrays)
        prefixes = [str(directory / f"part{i}") for i in range(3)]
        for i, prefix in enumerate(prefixes):
            write_v2({name: good.arrays[name] for name in names[i::3]}, Path(prefix))
        tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=prefixes, destination_prefix=str(directory / V2)
        )
        (directory / f"{V2}.data-0000{number}-of-00003").unlink()

    return make


def with_array(name: str, change: Callable[[np.ndarray], np.ndarray]):
    def make(good: Good, directory: Path) -> None:
        write_v2({**good.arrays, name: change(good.arrays[name])}, directory / V2)

    return make


def without(name: str):
    def make(good: Good, directory: Path) -> None:
        arrays = {key: array for key, array in good.arrays.items() if key != name}
        write_v2(arrays, directory / V2)

    return make


def object_based(good: Good, directory: Path) -> None:
    """What `tf.train.Checkpoint` writes, and so does Keras: names are attributes."""
    import tensorflow as tf

    variables = [tf.Variable(array) for _, array in sorted(good.arrays.items())]
    tf.train.Checkpoint(variables=variables).write(str(directory / V2))


def one_part(good: Good, directory: Path) -> None:
    """One half of a partitioned variable."""
    import tensorflow as tf

    arrays = dict(good.arrays)
    kernel = arrays.pop(KERNEL)
    tf.raw_ops.SaveV2(
        prefix=str(directory / V2),
        tensor_names=[*arrays, KERNEL],
        shape_and_slices=["" for _ in arrays] + ["7 7 3 64 0,7:0,7:0,3:0,32"],
        tensors=[*arrays.values(), kernel[..., :32]],
    )


def not_a_file(suffix: str, make_instead: Callable[[Path], None]):
    def make(good: Good, directory: Path) -> None:
        for other, data in good.v2.items():
            if other != suffix:
                (directory / (V2 + other)).write_bytes(data)
        make_instead(directory / (V2 + suffix))

    return make


MADE = {
    **{f"without-shard-{i}": (missing_shard(i), UNREADABLE) for i in range(3)},
    "object-based": (object_based, "It is a checkpoint of objects, as Keras and"),
    "one-part": (one_part, UNREADABLE),
    "missing": (without(BETA), f"- missing   {BETA} "),
    "misshapen": (with_array(BETA, lambda a: a[1:]), f"! shape     {BETA}  checkpoint (63,)"),
    "float64": (with_array(BETA, np.float64), f"! dtype     {BETA}  checkpoint float64"),
    "half": (with_array(KERNEL, np.float16), f"! dtype     {KERNEL}  checkpoint float16"),
    "nan": (with_array(BETA, lambda a: a * np.nan), "64 of 64 values are not finite"),
    "name-not-utf8": (
        lambda good, directory: write_v2({**good.arrays, b"a\xff": np.ones(1)}, directory / V2),
        UNREADABLE,
    ),
    "strings": (with_array(BETA, lambda a: a.astype(str).astype(object)), "checkpoint string"),
    "index-is-directory": (not_a_file(INDEX, Path.mkdir), "only model2.data-00000-of-00001 is"),
    "data-is-directory": (not_a_file(SHARD, Path.mkdir), "only model2.index is there"),
    "index-is-fifo": (not_a_file(INDEX, os.mkfifo), "only model2.data-00000-of-00001 is there"),
    "data-is-fifo": (not_a_file(SHARD, os.mkfifo), "only model2.index is there"),
    "data-dangles": (
        not_a_file(SHARD, lambda path: path.symlink_to("gone")),
        "only model2.index is there",
    ),
}


# What a state file says beside the good prefix, and what the message says of it.
STATES = {
    "empty": ("", "checkpoint is damaged: it names no checkpoint. Expected the state file"),
    "of-prose": (f"The newest is {V2}.", "checkpoint is damaged: 1:1 : "),
    "of-what-is-gone": (
        'model_checkpoint_path: "/train/model.ckpt-9"',
        f"/train/model.ckpt-9 and model.ckpt-9. The directory holds {V2}: name one, --checkpoint={V2}",
    ),
    "of-a-parent": (
        'model_checkpoint_path: ".."',
        "names .. as the newest checkpoint, which is gone: tried ..",
    ),
    "of-nul": ('model_checkpoint_path: "a\\000b"', "as the newest checkpoint, which is gone"),
}


def state(text: str):
    def make(good: Good, directory: Path) -> None:
        for suffix, data in good.v2.items():
            (directory / (V2 + suffix)).write_bytes(data)
        (directory / "checkpoint").write_text(text)

    return make


def published_beside_state(good: Good, directory: Path) -> None:
    state(f'model_checkpoint_path: "{V2}"')(good, directory)
    (directory / good.member).write_bytes(good.v1)


def corpus() -> Iterator[Bad]:
    for name, (text, says) in STATES.items():
        yield Bad(id=f"state-{name}", make=state(text), flags=("--checkpoint=.",), says=says)
    yield Bad(
        id="state-and-published",
        make=published_beside_state,
        flags=("--checkpoint=.",),
        says="whose state file names model2 as the newest: inception_v1.ckpt, model2. Name one",
    )
    for name, (change, says) in FILES.items():
        yield _v2(name, _changed(change), says)
    for name, (make, says) in MADE.items():
        yield _v2(name, make, says)
    yield from _series("truncated-index", 15, INDEX, truncated)
    yield from _series("truncated-data", 10, SHARD, truncated)


def flips() -> Iterator[Bad]:
    """One bit each. Not every bit is read."""
    yield from _series("flip-index", 24, INDEX, flipped)
    yield from _series("flip-data", 30, SHARD, flipped)


def _series(name: str, number: int, suffix: str, function: Callable[[bytes, float], bytes]):
    def make(at: float):
        return _changed(lambda files: files.update({suffix: function(files[suffix], at)}))

    return series(f"v2-{name}", number, make=make, flags=FLAGS, says=UNREADABLE)


def _v2(name: str, make, says: str) -> Bad:
    return Bad(id=f"v2-{name}", make=make, flags=FLAGS, says=says)


def _changed(change: Change):
    def make(good: Good, directory: Path) -> None:
        files = dict(good.v2)
        change(files)
        for suffix, data in files.items():
            (directory / (V2 + suffix)).write_bytes(data)

    return make
