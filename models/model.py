"""What the catalog records of a network. Knows nothing of TensorFlow."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A published checkpoint archive.

    Attributes:
      name: file name, which is also its name in the cache.
      member: the one file that it holds, at its root.
      urls: where it is published, the preferred place first.
      num_bytes: size of the archive; None if that is not known.
      sha256: of the archive, in hexadecimal; None if that is not known.
      max_member_bytes: what the member may unpack to at most.
    """

    name: str
    member: str
    urls: tuple[str, ...]
    num_bytes: int | None
    sha256: str | None
    max_member_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """The batch norms of a network.

    Attributes:
      count: how many there are.
      decay: of their moving averages in TF-Slim, with which Inception was trained.
      epsilon: added to the variance.
      gamma: whether they scale what they normalized.
    """

    count: int
    decay: float
    epsilon: float
    gamma: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A network, and the checkpoint that was published of it.

    Attributes:
      name: as in handles, `inception_v1`.
      title: as in prose, `Inception V1`.
      handle_prefix: what handles of its modules begin with, where nobody asks for another; the
        publisher's own only if he published modules of these very weights.
      summary: what the architecture is, in a sentence or two.
      papers: where it is described.
      builder: the function of `bases` that builds it up to the last feature map.
      layers: what that builds: the name of a function below `tf_slim.nets`, or of VGG, how many
        convolutions there are before each pool.
      scope: variable scope of the whole network.
      image_size: height and width of the images that it was trained on.
      min_image_size: smallest height and width that it runs on.
      input_scale, input_offsets: images in [0, 1] enter the network as `scale * x - offset`, with one
        offset for all channels, or one for each.
      num_features: length of the feature vector.
      num_classes: of the published checkpoint; a module has as many as its own checkpoint's head.
      background: whether the first of these is no class of pictures, but "background".
      labels: which class is which, in the published checkpoint.
      pool, dropout, head, squeeze, predictions: scopes below `scope` of the layers behind the base.
      dropout_keep_prob: of all dropout, that before the head among it; None if there is none.
      batch_norm: None if there is none.
      weight_decay: of the L2 loss on the kernels of the convolutions.
      num_regularized: kernels with such a loss, the head's among them.
      expected_extras: patterns (`fnmatch`) of names that a checkpoint may hold beyond the network.
      archive: the published checkpoint.
      origin: where its weights are from.
      accuracy: published top-1 and top-5, in percent: ImageNet validation, central crop.
    """

    name: str
    title: str
    handle_prefix: str
    summary: str
    papers: tuple[str, ...]
    builder: str
    layers: str | tuple[int, ...]
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
