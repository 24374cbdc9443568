"""A good input of an export, made once, and what a bad one is."""

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

# Of whatever is drawn at random; each kind of input draws for itself, in its own order.
SEED = 20160828
ARCHIVE = "weights.tar.gz"
V1 = "model.ckpt"
V2 = "model2"
UNREADABLE = "can't be read as a TensorFlow checkpoint"
SHARD = ".data-00000-of-00001"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Good:
    """The same weights in every form.

    Attributes:
      member: the archive's one file.
      archive, v1: the bytes of a file.
      v2: those of a checkpoint's two files, by suffix.
      arrays: by variable.
    """

    member: str
    archive: bytes
    v1: bytes
    v2: dict[str, bytes]
    arrays: dict[str, np.ndarray]


Maker = Callable[[Good, Path], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bad:
    """An input that must be refused.

    Attributes:
      id: stable, and the same every time.
      make: writes it into a directory, in which the program then runs.
      flags: beside those that choose the stem, or all of them if `whole`.
      whole: whether the flags are all.
      code: with which the program exits.
      says: what the message must contain.
    """

    id: str
    make: Maker = lambda good, directory: None
    flags: tuple[str, ...] = ()
    whole: bool = False
    code: int = 3
    says: str


def make_good(directory: Path) -> Good:
    """Makes the good input in an empty directory."""
    # Not at the top: the corpus can be listed without TensorFlow.
    import tensorflow as tf
    from stem import STEM, stem_in_catalog

    from slimhub.export import checkpoint_archive, synthetic

    with stem_in_catalog():
        packed = synthetic.write_archive(STEM, into=directory)
    v1 = checkpoint_archive.extract(
        packed,
        members={STEM.archive.member: STEM.archive.max_member_bytes},
        into=directory,
    )
    reader = tf.train.load_checkpoint(str(v1))
    arrays = {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}
    write_v2(arrays, directory / V2)
    return Good(
        member=STEM.archive.member,
        archive=packed.read_bytes(),
        v1=v1.read_bytes(),
        v2={suffix: (directory / (V2 + suffix)).read_bytes() for suffix in (".index", SHARD)},
        arrays=arrays,
    )


def write_v2(arrays, prefix: Path) -> None:
    """Writes a V2 checkpoint."""
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )


def series(
    name: str, number: int, *, make: Callable[[float], Maker], flags: tuple[str, ...], says: str
) -> Iterator[Bad]:
    """So many inputs of a kind, each with its own place in a file for `make`."""
    for i, at in enumerate(offsets(name, number)):
        yield Bad(id=f"{name}-{i:02}", make=make(at), flags=flags, says=says)


def offsets(kind: str, number: int) -> list[float]:
    """So many places in a file, in [0, 1); always the same for a kind."""
    draw = random.Random(f"{SEED} {kind}")
    return [draw.random() for _ in range(number)]


def truncated(data: bytes, at: float, *, least: int = 0) -> bytes:
    """A beginning of at least so many bytes, but not all."""
    return data[: least + int(at * (len(data) - least))]


def flipped(data: bytes, at: float) -> bytes:
    """With one bit changed."""
    byte, bit = divmod(int(at * len(data) * 8), 8)
    return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]


def file(name: str, content: Callable[[Good], bytes]) -> Maker:
    """Makes one file."""

    def make(good: Good, directory: Path) -> None:
        (directory / name).write_bytes(content(good))

    return make
