"""The network's part of a contract: its tensors, and numbers about it."""

import dataclasses
from collections.abc import Iterable, Mapping

# The end of kernels' names. Only kernels have an L2 loss.
KERNEL = "weights"
# The ends of moving averages' names. Each batch norm has two. They are not weights.
MOVING_AVERAGES = ("/moving_mean", "/moving_variance")


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


# The operations that rescale images in the graph: `scale * images`, then `- offsets`.
RESCALING = ("hub_input/Mul", "hub_input/Sub")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkInterface:
    """The network's part of a module's contract.

    Attributes:
      scope: variable scope of the network.
      image_size: default height and width.
      min_image_size: smallest height and width.
      input_scale, input_offsets: the graph computes `scale * images - offset`, with one offset for all
        channels, or one for each.
      batch_norm_decay: decay of the moving averages in TF-Slim; None without batch norm.
      weight_decay: each regularization loss is this times half the squared norm of its kernel.
      num_batch_norms: number of batch norms, each of which has two moving averages.
      behind_dropout: names of the tensors below that depend on dropout in training.
      num_regularization_losses, num_variables, num_trainable_variables: counts in this module.
      num_parameters: numbers in all variables, including those that don't train.
      feature_vector: float32 `[batch, num_features]`.
      logits, predictions: float32 `[batch, num_classes]`; None in a feature-vector module.
      end_points: tensors by key `Scope/EndPoint`, in the network's order, without logits and predictions.
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
        """Return the formula by which the graph rescales images: `2 * images - 1`."""
        offsets = ", ".join(f"{offset:g}" for offset in self.input_offsets)
        several = len(self.input_offsets) != 1
        return f"{self.input_scale:g} * images - {f'({offsets})' if several else offsets}"
