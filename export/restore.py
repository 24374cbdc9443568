"""Reads a checkpoint's variables, and reports every way in which they are not the network's."""

import contextlib
import glob
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export import causes, extras
from slimhub.export.errors import RestoreError, SourceError
from slimhub.export.reasons import reason
from slimhub.models.catalog import Model
from slimhub.signatures.printable import printable

Shape = tuple[int, ...]

_VARIANCE = "/moving_variance"
# Bytes of weights up to which they are kept in memory.
_KEPT = 256 << 20


class Reader:
    """A checkpoint of either format, opened.

    Attributes:
      path: the file of a V1 checkpoint, or the prefix of a V2 one.
      shapes: by variable name.

    Raises:
      SourceError: TensorFlow can't read it; also from `get`.
    """

    def __init__(self, path: Path):
        self.path = path
        with guarded(path):
            reader = tf.train.load_checkpoint(str(path))
            self.shapes: dict[str, Shape] = {
                name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()
            }
            self._dtypes = reader.get_variable_to_dtype_map()
            files = path.parent.glob(f"{glob.escape(path.name)}*")
            self._num_bytes = sum(file.stat().st_size for file in files)

    def dtype(self, name: str) -> str:
        return self._dtypes[name].name

    def get(self, name: str) -> np.ndarray:
        with guarded(self.path, f"values of {printable(name)} are damaged or missing: "):
            declared = math.prod(self.shapes[name])
            # Each takes a byte or more. TensorFlow would ask for the memory, for ten seconds.
            if declared > self._num_bytes:
                raise ValueError(f"{declared} values in {self._num_bytes} bytes")
            # Not with the reader's `get_tensor`: where slices of a V1 file are missing, that gives
            # whatever was in memory.
            [tensor] = tf.raw_ops.RestoreV2(
                prefix=str(self.path),
                tensor_names=[name],
                shape_and_slices=[""],
                dtypes=[self._dtypes[name]],
            )
            # Unlike `numpy()`, no copy.
            return np.asarray(tensor)


class Weights(Mapping[str, np.ndarray]):
    """Variables of a checkpoint by the names that the network has for them.

    Those of a large network are read anew whenever they are asked for: kept, they would be in memory
    beside everything that is made of them.
    """

    def __init__(self, reader: Reader, names: Mapping[str, str], *, kept: dict | None = None):
        """`names` are those in the checkpoint. Reads nothing yet."""
        self._reader, self._names = reader, names
        numbers = sum(math.prod(reader.shapes.get(name, ())) for name in names.values())
        self._kept = kept if kept is not None or 4 * numbers > _KEPT else {}

    def only(self, names: Iterable[str]) -> "Weights":
        """Some of them."""
        return Weights(self._reader, {name: self._names[name] for name in names}, kept=self._kept)

    def __getitem__(self, name: str) -> np.ndarray:
        if self._kept is None:
            return self._reader.get(self._names[name])
        if name not in self._kept:
            self._kept[name] = self._reader.get(self._names[name])
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextlib.contextmanager
def guarded(path: Path, what: str = "") -> Iterator[None]:
    """Has what TensorFlow raises in the block for a checkpoint that it can't read be a `SourceError`."""
    try:
        yield
    # Besides its own errors TensorFlow raises Python's, one for each code of a status.
    except (tf.errors.OpError, OSError, ValueError, RuntimeError, IndexError) as error:
        raise SourceError(
            f"{path.name} can't be read as a TensorFlow checkpoint (a V1 file, or the "
            f"prefix of a V2 one): {what}{reason(error)}. Get it anew; "
            "if it is an archive, its name must end in .tar.gz or .tgz."
        ) from error


def num_classes(reader: Reader, *, model: Model) -> int:
    """Number of classes of the head in the checkpoint; the published one's if there is no head."""
    return classes_of_head(reader, model=model) or model.num_classes


def classes_of_head(reader: Reader, *, model: Model) -> int | None:
    """Number of classes of the head in the checkpoint; None if there is no head, or an empty one."""
    shape = reader.shapes.get(f"{model.scope}/{model.head}/weights", ())
    return (shape[-1] if len(shape) == 4 else None) or None


def restore(
    reader: Reader,
    *,
    model: Model,
    shapes: Mapping[str, Shape],
    names: Mapping[str, str] | None = None,
    allow_unused: bool = False,
) -> Weights:
    """Reads and checks the variables of a network.

    Args:
      reader: the checkpoint.
      model: the network; its head may be in the checkpoint without being wanted.
      shapes: of the variables wanted, by name.
      names: under which the checkpoint has them; None: their own.
      allow_unused: whether variables that nothing wants are ignored.

    Returns:
      Finite float32 arrays of those shapes, by name.

    Raises:
      RestoreError: variables are missing, misshapen, not float32, not finite, or unused; all are named.
    """
    names = names or {name: name for name in shapes}
    weights = Weights(reader, {name: names[name] for name in shapes})
    problems = list(_problems(reader, shapes, names, weights))
    unused = [
        name
        for name in sorted(set(reader.shapes) - set(shapes) - set(names.values()))
        if not extras.expected(name, model=model, variables=shapes)
    ]
    if not allow_unused:
        problems += [("+ unused", name, str(reader.shapes[name])) for name in unused]
    if problems:
        found = len(set(names.values()) & set(reader.shapes))
        width = max(len(printable(name)) for _, name, _ in problems)
        lines = [
            f"{reader.path.name} does not fit {model.name} "
            f"({len(shapes)} variables wanted, {found} found):"
        ]
        lines += [
            f"  {kind:<10}  {printable(name):<{width}}  {what}" for kind, name, what in problems
        ]
        lines += causes.likely(problems, model=model, shapes=reader.shapes, wanted=shapes)
        raise RestoreError("\n".join(lines))
    return weights


def _problems(
    reader: Reader, shapes: Mapping[str, Shape], names: Mapping[str, str], weights: Weights
) -> Iterator[causes.Problem]:
    """What is wrong with the variables, with the names that the checkpoint has."""
    for variable, shape in sorted(shapes.items()):
        name = names[variable]
        if name not in reader.shapes:
            yield "- missing", name, str(shape)
        elif reader.shapes[name] != shape:
            yield "! shape", name, f"checkpoint {reader.shapes[name]}, model {shape}"
        elif reader.dtype(name) != "float32":
            yield "! dtype", name, f"checkpoint {reader.dtype(name)}, model float32"
        else:
            value = weights[variable]
            infinite = np.count_nonzero(~np.isfinite(value))
            if infinite:
                yield "! value", name, f"{infinite} of {value.size} values are not finite"
            # Below that, a batch norm gives NaN, which the ReLU of some kernels makes a 0 of.
            negative = np.count_nonzero(value < 0) if variable.endswith(_VARIANCE) else 0
            if negative:
                yield "! value", name, f"{negative} of {value.size} values are negative"
