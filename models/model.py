"""The record of a network. This file doesn't import TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A published checkpoint archive.

    Attributes:
      name: file name, also in the cache.
      member: name of the one file in the archive, at its root.
      urls: URLs of the archive, the preferred one first.
      num_bytes: size of the archive; None if unknown.
      sha256: SHA-256 (hex) of the archive; None if unknown.
      max_member_bytes: largest size that the member may unpack to.
    """

    name: str
    member: str
    urls: tuple[str, ...]
    num_bytes: int | None
    sha256: str | None
    max_member_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """The settings of a network's batch norm layers.

    Attributes:
      count: number of layers.
      decay: decay of the moving averages in TF-Slim.
      epsilon: number that is added to the variance.
      gamma: whether the layers scale the normalized values.
    """

    count: int
    decay: float
    epsilon: float
    gamma: bool


# A function that takes the model, the rescaled images (float32 `[batch, height, width, 3]`) and, by
# keyword, `training` and the entered variable `scope` of the network. It returns the last feature map,
# float32 `[batch, height', width', model.num_features]`, and Slim's end points up to there, keyed
# `Scope/EndPoint`, in order of construction.
BuildBase = Callable[..., "tuple[tf.Tensor, dict[str, tf.Tensor]]"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A network and its published checkpoint.

    Attributes:
      name: name in handles, `inception_v1`.
      title: name in prose, `Inception V1`.
      handle_prefix: default prefix of the handles of its modules. It is the publisher's only if the
        publisher made modules from these weights.
      other_prefixes: further prefixes under which the publisher made modules from these weights.
      summary: one or two sentences about the architecture.
      papers: references for the architecture.
      build_base: function that builds the network up to the last feature map; see `BuildBase`.
      scope: variable scope of the whole network.
      image_size: default height and width of images.
      min_image_size: smallest height and width that the network accepts.
      input_scale, input_offsets: the network rescales images in [0, 1] to `scale * x - offset`, with one
        offset for all channels, or one for each.
      num_features: length of the feature vector.
      num_classes: number of classes in the published checkpoint. A module has the number of classes of
        the checkpoint that it was made from.
      background: whether class 0 is "background", not a class of images.
      labels: sentence that says which class is which in the published checkpoint.
      pool, dropout, head, squeeze, predictions: scopes, relative to `scope`, of the layers after the base.
      dropout_keep_prob: keep probability of all dropout layers, including the one before the head; None
        if the network has none.
      batch_norm: settings of batch norm; None if the network has none.
      weight_decay: factor of the L2 losses on the convolution kernels.
      num_regularized: number of kernels with such a loss, including the head's.
      expected_extras: patterns (`fnmatch`) of further names that a checkpoint may hold.
      archive: archive of the published checkpoint.
      origin: one or two sentences about the origin of the published weights.
      accuracy: published top-1 and top-5 accuracy in percent (ImageNet validation, central crop).
    """

    name: str
    title: str
    handle_prefix: str
    summary: str
    papers: tuple[str, ...]
    build_base: BuildBase
    scope: str
    image_size: tuple[int, int]
    min_image_size: tuple[int, int]
    input_scale: float
    input_offsets: tuple[float, ...]
    num_features: int
    num_classes: int
    background: bool
    labels: str
    pool: str
    dropout: str | None
    head: str
    squeeze: str
    predictions: str
    dropout_keep_prob: float | None
    batch_norm: BatchNorm | None
    weight_decay: float
    num_regularized: int
    expected_extras: tuple[str, ...]
    archive: Archive
    origin: str
    accuracy: tuple[float, float]
    other_prefixes: tuple[str, ...] = ()
