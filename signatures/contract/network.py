"""The contract of a network: its tensors, its variables, and numbers about it.

That of each known network is frozen in `networks/<name>.json`, whatever a release makes of the
network later. The environment variable SLIMHUB_NETWORKS may name folders with the files of others.
"""

import dataclasses
import functools
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from slimhub.support import records

# Folders with the files of networks, `<name>.json`; one in a later folder goes before.
FOLDERS = [
    Path(__file__).with_name("networks"),
    *map(Path, filter(None, os.environ.get("SLIMHUB_NETWORKS", "").split(os.pathsep))),
]

# The ends of moving averages' names. Each batch norm has two. They are not weights.
MOVING_AVERAGES = ("/moving_mean", "/moving_variance")
# The end of the key of the end point that is pooled over all positions, whatever the image size.
GLOBAL_POOL = "/global_pool"
# The operations that rescale images in the graph: `scale * images`, then `- offsets`.
RESCALING = ("hub_input/Mul", "hub_input/Sub")

# Checks create images of these sizes.
_MOST_PIXELS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A tensor of a graph: its name, `Scope/Op:0`, its shape (None is any size) and its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def type(self) -> str:
        """Return the dtype and the shape in words: `float32 [?, 1024]`."""
        return tensor_type(self.dtype, self.shape)


def tensor_type(dtype: str, shape: Iterable[int | None]) -> str:
    """Return a dtype and a shape in words: `float32 [?, 1024]`."""
    return f"{dtype} [{', '.join('?' if size is None else str(size) for size in shape)}]"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variable:
    """A float32 variable of a network.

    Attributes:
      shape: its sizes.
      trainable: whether an optimizer changes it; moving averages are not trainable.
      regularized: whether the network has an L2 loss of it.
    """

    shape: tuple[int, ...]
    trainable: bool
    regularized: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkContract:
    """The contract of a network.

    Attributes:
      scope: variable scope of the network.
      image_size: default height and width.
      min_image_size: smallest height and width.
      input_scale, input_offsets: the graph computes `scale * images - offset`, with one offset for all
        channels, or one for each.
      batch_norm_decay: decay of the moving averages in TF-Slim; None without batch norm.
      weight_decay: each regularization loss is this times half the squared norm of its kernel.
      head: scope of the classification layer's variables, whose last size is the number of classes; None if
        the network has none.
      random_in_training: names of the tensors below that depend on dropout in training.
      feature_vector: float32 `[batch, num_features]`.
      logits: float32 `[batch, num_classes]`; None without a classification layer.
      predictions: probabilities of the same shape; None if the network gives none.
      end_points: tensors by key `Scope/EndPoint`, in the network's order, without logits and predictions.
        In a file, heights and widths are those for images of the default size.
      variables: all variables by name, in order of construction.
    """

    scope: str
    image_size: tuple[int, int]
    min_image_size: tuple[int, int]
    input_scale: float
    input_offsets: tuple[float, ...]
    batch_norm_decay: float | None
    weight_decay: float
    head: str | None
    random_in_training: tuple[str, ...]
    feature_vector: TensorSpec
    logits: TensorSpec | None
    predictions: TensorSpec | None
    end_points: Mapping[str, TensorSpec]
    variables: Mapping[str, Variable]

    @property
    def num_classes(self) -> int | None:
        """Return the number of classes; None without a classification layer."""
        return None if self.logits is None else self.logits.shape[1]

    @property
    def num_batch_norms(self) -> int:
        """Return the number of batch norms, each of which has two moving averages."""
        return sum(name.endswith(MOVING_AVERAGES) for name in self.variables) // 2

    @property
    def trainable(self) -> tuple[str, ...]:
        """Return the names of the variables that an optimizer changes."""
        return tuple(name for name, variable in self.variables.items() if variable.trainable)

    @property
    def regularized(self) -> tuple[str, ...]:
        """Return the names of the variables that have an L2 loss."""
        return tuple(name for name, variable in self.variables.items() if variable.regularized)

    @property
    def num_parameters(self) -> int:
        """Return how many numbers all variables have, including those that don't train."""
        return sum(math.prod(variable.shape) for variable in self.variables.values())

    @property
    def rescaling(self) -> str:
        """Return the formula by which the graph rescales images: `2 * images - 1`."""
        offsets = ", ".join(f"{offset:g}" for offset in self.input_offsets)
        several = len(self.input_offsets) != 1
        return f"{self.input_scale:g} * images - {f'({offsets})' if several else offsets}"

    def for_any_image_size(self) -> "NetworkContract":
        """Return the same network with end points of unknown heights and widths."""
        return dataclasses.replace(
            self,
            end_points={
                key: spec
                if key.endswith(GLOBAL_POOL)
                else dataclasses.replace(spec, shape=(None, None, None, spec.shape[-1]))
                for key, spec in self.end_points.items()
            },
        )

    def with_classes(self, num_classes: int) -> "NetworkContract":
        """Return the same network with another number of classes. Raise `ValueError` if it has none."""
        if self.head is None or self.logits is None:
            raise ValueError(f"{self.scope} has no classification layer")
        shape = (None, num_classes)
        return dataclasses.replace(
            self,
            logits=dataclasses.replace(self.logits, shape=shape),
            predictions=self.predictions and dataclasses.replace(self.predictions, shape=shape),
            variables={
                name: dataclasses.replace(variable, shape=(*variable.shape[:-1], num_classes))
                if self._in_head(name)
                else variable
                for name, variable in self.variables.items()
            },
        )

    def without_head(self) -> "NetworkContract":
        """Return the same network without its classification layer."""
        classes = {spec.name for spec in (self.logits, self.predictions) if spec is not None}
        return dataclasses.replace(
            self,
            head=None,
            random_in_training=tuple(
                name for name in self.random_in_training if name not in classes
            ),
            logits=None,
            predictions=None,
            variables={
                name: variable
                for name, variable in self.variables.items()
                if not self._in_head(name)
            },
        )

    def _in_head(self, name: str) -> bool:
        return self.head is not None and name.startswith(f"{self.head}/")

    def to_json(self) -> str:
        """Return the text of the network's file, with a line for each tensor and each variable."""
        fields = []
        for name, value in dataclasses.asdict(self).items():
            text = json.dumps(value)
            if name in ("end_points", "variables"):
                lines = (f"{json.dumps(key)}: {json.dumps(one)}" for key, one in value.items())
                text = "{\n    " + ",\n    ".join(lines) + "\n  }"
            fields.append(f'  "{name}": {text}')
        return "{\n" + ",\n".join(fields) + "\n}\n"


def names() -> tuple[str, ...]:
    """Return the names of the networks in `FOLDERS`, sorted."""
    return tuple(sorted(_paths()))


def get(name: str) -> NetworkContract:
    """Return the contract of a network. Raise `KeyError` if there is none in `FOLDERS`."""
    return load(_paths()[name])


@functools.cache
def load(path: Path) -> NetworkContract:
    """Read the file of a network. Raise `OSError`, or `ValueError`, which says what is wrong and where."""
    try:
        network = records.read(
            NetworkContract, json.loads(path.read_text(), parse_constant=_refused)
        )
        check(network)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no contract of a network: {error}") from error
    return network


def _refused(constant: str):
    raise ValueError(f"{constant} is no number")


def _paths() -> dict[str, Path]:
    return {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.json"))}


def check(network: NetworkContract) -> None:
    """Raise `ValueError` if the parts of a network do not fit each other."""
    for name in ("image_size", "min_image_size"):
        if not all(1 <= side <= _MOST_PIXELS for side in getattr(network, name)):
            raise ValueError(f"{name}: expected 1 to {_MOST_PIXELS} pixels")
    if len(network.input_offsets) not in (1, 3):
        raise ValueError(f"input_offsets: expected 1 or 3, got {len(network.input_offsets)}")
    if (network.batch_norm_decay is None) != (network.num_batch_norms == 0):
        raise ValueError("batch_norm_decay: expected one with batch norms only")
    if (network.head is None) != (network.logits is None):
        raise ValueError("head and logits: expected both of them, or none")
    if network.logits is None and network.predictions is not None:
        raise ValueError("predictions: expected none without logits")
    for name in ("feature_vector", "logits", "predictions"):
        spec = getattr(network, name)
        if spec is not None and len(spec.shape) != 2:
            raise ValueError(f"{name}: expected two dimensions, got {spec.type}")
    for key, spec in network.end_points.items():
        if len(spec.shape) != 4:
            raise ValueError(f"end_points[{key!r}]: expected four dimensions, got {spec.type}")
