"""Read a checkpoint's variables, and report every way in which they differ from the network's."""

import contextlib
import glob
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import trackable_object_graph_pb2

from slimhub.export.checkpoints import diagnosis, training_state
from slimhub.export.errors import Problem, RestoreError, SourceError
from slimhub.models.model import Model
from slimhub.signatures.module.provenance import CONVERTIBLE
from slimhub.support.printable import printable
from slimhub.support.tf_errors import summarize_tf_error

Shape = tuple[int, ...]

_VARIANCE = "/moving_variance"


class Reader:
    """An open checkpoint, V1 or V2.

    `tf.train.Checkpoint` and `tf.saved_model.save` name tensors by paths of attributes. This class
    renames them to the names of their variables. If a module was saved, or a model with a module in it,
    these are Slim's names.

    Attributes:
      path: the file of a V1 checkpoint, or the prefix of a V2 one.
      shapes: shapes by variable name.

    Raises:
      SourceError: TensorFlow can't read the checkpoint; also from `get`.
    """

    def __init__(self, path: Path):
        self.path = path
        with guarded(path):
            reader = tf.train.load_checkpoint(str(path))
            self._dtypes = reader.get_variable_to_dtype_map()
            shapes = reader.get_variable_to_shape_map()
            files = path.parent.glob(f"{glob.escape(path.name)}*")
            self._num_bytes = sum(file.stat().st_size for file in files)
        self._keys = {key: key for key in shapes}
        self.shapes: dict[str, Shape] = {key: tuple(shape) for key, shape in shapes.items()}
        graph = training_state.OBJECT_GRAPH
        if self.shapes.get(graph) == () and self.dtype(graph) == "string":
            self._rename()

    def key(self, name: str) -> str:
        """Return the name of a variable's tensor in the file; for an unknown variable, `name` itself."""
        return self._keys.get(name, name)

    def dtype(self, name: str) -> str:
        """Return the name of a variable's dtype, `float32`."""
        return self._dtypes[self._keys[name]].name

    def get(self, name: str) -> np.ndarray:
        """Return a variable's value, of the shape and dtype in the checkpoint. Raise `SourceError`."""
        with guarded(self.path, f"values of {printable(name)} are damaged or missing: "):
            declared = math.prod(self.shapes[name])
            # Each value takes at least one byte. TensorFlow would try for ten seconds to allocate them.
            if declared > self._num_bytes:
                raise ValueError(f"{declared} values in {self._num_bytes} bytes")
            # The reader's `get_tensor` won't do: where slices of a V1 file are missing, it returns
            # uninitialized memory.
            [tensor] = tf.raw_ops.RestoreV2(
                prefix=str(self.path),
                tensor_names=[self._keys[name]],
                shape_and_slices=[""],
                dtypes=[self._dtypes[self._keys[name]]],
            )
            # Unlike `numpy()`, this makes no copy.
            return np.asarray(tensor)

    def _rename(self) -> None:
        """Give variables the names that the checkpoint's object graph has for them."""
        with guarded(self.path, f"{training_state.OBJECT_GRAPH} is damaged: "):
            serialized = self.get(training_state.OBJECT_GRAPH).item()
            graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(serialized)
        names: dict[str, list[str]] = {}
        for node in graph.nodes:
            for attribute in node.attributes:
                if attribute.full_name and attribute.checkpoint_key in self._keys:
                    names.setdefault(attribute.full_name, []).append(attribute.checkpoint_key)
        for name, keys in names.items():
            # If several variables have the same name, none of them is renamed.
            if len(set(keys)) == 1 and name not in self._keys and keys[0] in self._keys:
                self._keys[name] = self._keys.pop(keys[0])
                self.shapes[name] = self.shapes.pop(keys[0])


@contextlib.contextmanager
def guarded(path: Path, what: str = "") -> Iterator[None]:
    """Convert TensorFlow's checkpoint read errors into `SourceError`."""
    try:
        yield
    # Besides its own errors, TensorFlow raises Python's for some status codes.
    except (tf.errors.OpError, DecodeError, OSError, ValueError, RuntimeError, IndexError) as error:
        raise SourceError(
            f"{name_of(path)} can't be read as a TensorFlow checkpoint (a V1 file, or the "
            f"prefix of a V2 one): {what}{summarize_tf_error(error)}. Get it anew; "
            "if it is an archive, its name must end in .tar.gz or .tgz.",
            reason="damaged",
            path=path,
            found=what + summarize_tf_error(error),
        ) from error


def name_of(path: Path) -> str:
    """Return a checkpoint's name for messages, with its folders if it belongs to a SavedModel."""
    return "/".join(path.parts[-3:]) if path.name == "variables" else path.name


def num_classes(reader: Reader, *, model: Model) -> int:
    """Return the number of classes of the checkpoint's head; without a head, the published number."""
    return classes_of_head(reader, model=model) or model.num_classes


def classes_of_head(reader: Reader, *, model: Model) -> int | None:
    """Return the number of classes of the checkpoint's head; None if there is no head, or an empty one."""
    weights = f"{model.scope}/{model.head}/weights"
    # The checkpoint may have moving averages only.
    shape = reader.shapes.get(weights, reader.shapes.get(training_state.average_of(weights), ()))
    return (shape[-1] if len(shape) == 4 else None) or None


def restore(
    reader: Reader,
    *,
    model: Model,
    shapes: Mapping[str, Shape],
    names: Mapping[str, str] | None = None,
    allow_unused: bool = False,
) -> dict[str, np.ndarray]:
    """Read and check the variables of a network.

    Args:
      reader: the checkpoint.
      model: the network. Its head may be in the checkpoint even if it isn't wanted.
      shapes: shapes of the wanted variables, by name.
      names: names in the checkpoint by the network's names; None if they are the same.
      allow_unused: whether to ignore further variables in the checkpoint.

    Returns:
      Finite float32 arrays of those shapes, by name.

    Raises:
      RestoreError: variables are missing, misshapen, unused, not finite, or of a dtype that float32 can't
        represent exactly, or variances make inference infinite. The error lists all of them.
      SourceError: the checkpoint can't be read.
    """
    names = names or {name: name for name in shapes}
    weights: dict[str, np.ndarray] = {}
    problems = list(_read_weights(reader, model, shapes, names, into=weights))
    if not allow_unused:
        problems += [
            Problem(kind="unused", name=name, found=str(reader.shapes[name]))
            for name in sorted(set(reader.shapes) - set(shapes) - set(names.values()))
            if not training_state.is_expected(name, model=model, variables=shapes)
        ]
    if problems:
        raise RestoreError(
            checkpoint=name_of(reader.path),
            model=model.name,
            num_variables=len(shapes),
            problems=problems,
            causes=list(
                diagnosis.explain(problems, model=model, shapes=reader.shapes, wanted=shapes)
            ),
        )
    return weights


def converted_dtypes(reader: Reader, names: Iterable[str]) -> tuple[str, ...]:
    """Return the dtypes that some of these variables have in place of float32, sorted."""
    return tuple(sorted({reader.dtype(name) for name in names} & set(CONVERTIBLE)))


def _read_weights(
    reader: Reader,
    model: Model,
    shapes: Mapping[str, Shape],
    names: Mapping[str, str],
    *,
    into: dict[str, np.ndarray],
) -> Iterator[Problem]:
    """Read variables as float32, and yield every problem of theirs, under the names in the checkpoint."""
    for variable, shape in sorted(shapes.items()):
        name = names[variable]
        if name not in reader.shapes:
            yield Problem(kind="missing", name=name, expected=str(shape))
        elif reader.shapes[name] != shape:
            found = str(reader.shapes[name])
            yield Problem(kind="shape", name=name, found=found, expected=str(shape))
        elif reader.dtype(name) not in ("float32", *CONVERTIBLE):
            yield Problem(kind="dtype", name=name, found=reader.dtype(name), expected="float32")
        else:
            # NumPy converts exactly. TensorFlow's kernels may replace the smallest numbers by 0.
            into[variable] = reader.get(name).astype(np.float32, copy=False)
            norm = model.batch_norm if variable.endswith(_VARIANCE) else None
            epsilon = None if norm is None else norm.epsilon
            for found, expected in _bad_values(into[variable], epsilon):
                yield Problem(kind="value", name=name, found=found, expected=expected)


def _bad_values(value: np.ndarray, epsilon: float | None) -> Iterator[tuple[str, str]]:
    """Yield what was found and what was expected. For variances, `epsilon` is batch norm's; else None."""
    infinite = np.count_nonzero(~np.isfinite(value))
    if infinite:
        yield f"{infinite} of {value.size} values are not finite", "finite"
    elif epsilon is not None:
        # A variance may be below 0: old TensorFlow and Caffe left some of -1e-5. But unless this sum is
        # above 0, batch norm returns NaN or infinity, and the ReLU of some kernels turns NaN into 0.
        bad = value + np.float32(epsilon) <= 0
        if bad.any():
            least = -np.float32(epsilon)
            yield (
                f"{np.count_nonzero(bad)} of {value.size} values are not above {least:g}, the "
                f"smallest is {value.min():g}",
                f"above {least:g}",
            )
