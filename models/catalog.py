"""The networks, one frozen record each, with the origin of every number.

Knows nothing of TensorFlow, so that it is cheap to import. A new network is a
new record in `MODELS`; nothing else names a network.
"""

import dataclasses

_STORAGE = "https://storage.googleapis.com/download.tensorflow.org/models/"
# Open Model Zoo mirrors the same bytes (its own records carry the same sums).
_ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/public/2022.1/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A published checkpoint archive.

    Attributes:
      name: file name, which is also its name in the cache.
      member: the one file that it holds, at its root.
      urls: where it is published, the preferred place first.
      num_bytes: size of the archive.
      sha256: of the archive, in hexadecimal.
      max_member_bytes: what the member may unpack to at most.
    """

    name: str
    member: str
    urls: tuple[str, ...]
    num_bytes: int
    sha256: str
    max_member_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A network, and the checkpoint that was published of it.

    Attributes:
      name: as in handles, `inception_v1`.
      title: as in prose, `Inception V1`.
      summary: what the architecture is, in a sentence or two.
      papers: where it is described.
      base: the function below `tf_slim.nets` that builds it up to the last feature map.
      scope: variable scope of the whole network.
      image_size: height and width of the images that it was trained on.
      min_image_size: smallest height and width that it runs on.
      rescale: `(scale, offset)`; images in [0, 1] enter the network as `scale * x - offset`.
      num_features: length of the feature vector.
      num_classes: of the published checkpoint; a module has as many as its own checkpoint's head.
      labels: which class is which, in the published checkpoint.
      pool, dropout, head, predictions: scopes below `scope` of the layers behind the base.
      dropout_keep_prob: of the dropout between feature vector and head.
      batch_norm_decay, batch_norm_epsilon: of every batch norm (which have no gamma).
      num_batch_norms: how many there are.
      weight_decay: of the L2 loss on the kernels of the convolutions.
      num_regularized: kernels with such a loss, the head's among them.
      expected_extras: patterns (`fnmatch`) of names that a checkpoint may hold beyond the network.
      archive: the published checkpoint.
      accuracy: published top-1 and top-5, in percent: ImageNet validation, central crop.
    """

    name: str
    title: str
    summary: str
    papers: tuple[str, ...]
    base: str
    scope: str
    image_size: tuple[int, int]
    min_image_size: tuple[int, int]
    rescale: tuple[float, float]
    num_features: int
    num_classes: int
    labels: str
    pool: str
    dropout: str
    head: str
    predictions: str
    dropout_keep_prob: float
    batch_norm_decay: float
    batch_norm_epsilon: float
    num_batch_norms: int
    weight_decay: float
    num_regularized: int
    expected_extras: tuple[str, ...]
    archive: Archive
    accuracy: tuple[float, float]


_GOING_DEEPER = (
    "C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, "
    "A. Rabinovich: Going deeper with convolutions, 2014, arXiv 1409.4842"
)
_BATCH_NORMALIZATION = (
    "S. Ioffe, C. Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing "
    "Internal Covariate Shift, 2015, arXiv 1502.03167"
)

_INCEPTION = dict(
    image_size=(224, 224),
    # Every layer of the bases of V1 and V2 is padded (SAME), and the pool behind them is
    # global: one pixel is enough to run. Below 32 x 32 the last map is that one pixel.
    min_image_size=(1, 1),
    rescale=(2.0, 1.0),
    num_features=1024,
    num_classes=1001,
    labels='Class 0 is "background"; 1 to 1000 are the classes of ILSVRC-2012-CLS, in the order of '
    "https://storage.googleapis.com/download.tensorflow.org/data/ImageNetLabels.txt",
    pool="Logits/global_pool",
    # Keep probability, decay, epsilon and weight decay: the defaults of tf_slim.nets'
    # inception_v1/v2 and their arg scopes, with which the checkpoints were trained.
    dropout_keep_prob=0.8,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    weight_decay=0.00004,
    expected_extras=("global_step",),
)

# Sizes and sums of the archives: Open Model Zoo, models googlenet-v1-tf and
# googlenet-v2-tf. Accuracies: the table of pre-trained models in the TF-Slim
# image classification library.
MODELS = (
    Model(
        **_INCEPTION,
        name="inception_v1",
        title="Inception V1",
        summary="The network known as GoogLeNet: nine blocks, each of which looks at its input "
        "through kernels of several sizes side by side. TF-Slim's has batch normalization where the "
        "paper has local response normalization, and 3 x 3 kernels where it has 5 x 5.",
        papers=(_GOING_DEEPER,),
        base="inception.inception_v1_base",
        scope="InceptionV1",
        dropout="Logits/Dropout_0b",
        head="Logits/Conv2d_0c_1x1",
        # Stock Slim opens this scope inside `Logits` in V1, and beside it in V2.
        predictions="Logits/Predictions",
        num_batch_norms=57,
        num_regularized=58,
        archive=Archive(
            name="inception_v1_2016_08_28.tar.gz",
            member="inception_v1.ckpt",
            urls=(
                _STORAGE + "inception_v1_2016_08_28.tar.gz",
                _ZOO + "googlenet-v1-tf/inception_v1_2016_08_28.tar.gz",
            ),
            num_bytes=24642554,
            sha256="7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
            max_member_bytes=64 << 20,
        ),
        accuracy=(69.8, 89.6),
    ),
    Model(
        **_INCEPTION,
        name="inception_v2",
        title="Inception V2",
        summary="Inception V1 grown deeper, with two 3 x 3 convolutions for each larger one, and with "
        "batch normalization, with which it was introduced. TF-Slim's begins with a separable "
        "convolution.",
        papers=(_BATCH_NORMALIZATION, _GOING_DEEPER),
        base="inception.inception_v2_base",
        scope="InceptionV2",
        dropout="Logits/Dropout_1b",
        head="Logits/Conv2d_1c_1x1",
        predictions="Predictions",
        num_batch_norms=68,
        num_regularized=69,
        archive=Archive(
            name="inception_v2_2016_08_28.tar.gz",
            member="inception_v2.ckpt",
            urls=(
                _STORAGE + "inception_v2_2016_08_28.tar.gz",
                _ZOO + "googlenet-v2-tf/inception_v2_2016_08_28.tar.gz",
            ),
            num_bytes=41577079,
            sha256="3b9d269984402003d8330affc4e1463c0b4cfd536339ad12446a48d72477480a",
            max_member_bytes=96 << 20,
        ),
        accuracy=(73.9, 91.8),
    ),
)


def names() -> tuple[str, ...]:
    """Names of all models, in the catalog's order."""
    return tuple(model.name for model in MODELS)


def get(name: str) -> Model:
    """The model of that name. Raises `KeyError` for an unknown one."""
    return _BY_NAME[name]


def _by_name(models: tuple[Model, ...]) -> dict[str, Model]:
    by_name = {model.name: model for model in models}
    if len(by_name) != len(models):
        raise ValueError("a model's name stands twice in the catalog")
    return by_name


_BY_NAME = _by_name(MODELS)
