"""What the contract has to know of a network: its tensors, and figures of it."""

import dataclasses
from collections.abc import Iterable, Mapping

# How the names of kernels end, which alone have an L2 loss.
KERNEL = "weights"
# How the names of moving averages end, two of each batch norm. They are no weights.
MOVING_AVERAGES = ("/moving_mean", "/moving_variance")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A tensor of a graph: its name, as in `Scope/Op:0`, its shape (None: any size) and its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def type(self) -> str:
        """As messages have it: `float32 [?, 1024]`."""
        return tensor_type(self.dtype, self.shape)


def tensor_type(dtype: str, shape: Iterable[int | None]) -> str:
    """A dtype and a shape as messages have them: `float32 [?, 1024]`."""
    return f"{dtype} [{', '.join('?' if size is None else str(size) for size in shape)}]"


# The graph's own rescaling of images: `scale * images`, then `- offsets`.
RESCALING = ("hub_input/Mul", "hub_input/Sub")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interface:
    """What the contract has to know of the network in a module.

    Attributes:
      scope: of all of its variables.
      image_size: default height and width.
      min_image_size: smallest height and width.
      input_scale, input_offsets: the graph computes `scale * images - offset`, with one offset for all
        channels, or one for each.
      batch_norm_decay: the network's own momentum of moving averages; None if it has no batch norm.
      weight_decay: each regularization loss is this times half the squared norm of its kernel.
      num_batch_norms: each has two moving averages.
      behind_dropout: names of those of its tensors below that dropout acts on, in training.
      num_regularization_losses, num_variables, num_trainable_variables: in this module.
      num_parameters: numbers in all its variables, those that do not train among them.
      feature_vector: `[batch, num_features]`.
      logits, predictions: `[batch, num_classes]`; None in a feature-vector module.
      end_points: by key `Scope/EndPoint`, the network's order, without logits and predictions.
    """

    scope: str
    image_size: tuple[int, int]
    min_image_size: tuple[int, int]
    input_scale: float
    input_offsets: tuple[float, ...]
    batch_norm_decay: float | None
    weight_decay: float
    num_batch_norms: int
    num_regularization_losses: int
    num_variables: int
    num_trainable_variables: int
    num_parameters: int
    behind_dropout: tuple[str, ...]
    feature_vector: TensorSpec
    logits: TensorSpec | None
    predictions: TensorSpec | None
    end_points: Mapping[str, TensorSpec]

    @property
    def rescaling(self) -> str:
        """What the graph makes of images, in words: `2 * images - 1`."""
        offsets = ", ".join(f"{offset:g}" for offset in self.input_offsets)
        several = len(self.input_offsets) != 1
        return f"{self.input_scale:g} * images - {f'({offsets})' if several else offsets}"
