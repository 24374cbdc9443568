"""The networks, one frozen record each, with the origin of every number.

Knows nothing of TensorFlow, so that it is cheap to import. A new network is a
new record in `MODELS`; nothing else names a network.
"""

from slimhub.models.model import Archive, BatchNorm, Model

_STORAGE = "https://storage.googleapis.com/download.tensorflow.org/models/"
# Open Model Zoo mirrors the same bytes (its own records carry the same sums).
_ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/public/2022.1/"


_GOING_DEEPER = (
    "C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, "
    "A. Rabinovich: Going deeper with convolutions, 2014, arXiv 1409.4842"
)
_BATCH_NORMALIZATION = (
    "S. Ioffe, C. Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing "
    "Internal Covariate Shift, 2015, arXiv 1502.03167"
)

_RETHINKING = (
    "C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: Rethinking the Inception Architecture "
    "for Computer Vision, 2015, arXiv 1512.00567"
)
_RESIDUAL = (
    "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, 2015, "
    "arXiv 1512.03385"
)
_VERY_DEEP = (
    "K. Simonyan, A. Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, "
    "2014, arXiv 1409.1556"
)

_LABELS = "https://storage.googleapis.com/download.tensorflow.org/data/ImageNetLabels.txt"

_INCEPTION = dict(
    # Of the modules that Google made from these checkpoints.
    handle_prefix="google/imagenet",
    builder="inception",
    input_scale=2.0,
    input_offsets=(1.0,),
    num_classes=1001,
    background=True,
    labels='Class 0 is "background"; 1 to 1000 are the classes of ILSVRC-2012-CLS, in the order of '
    + _LABELS,
    squeeze="Logits/SpatialSqueeze",
    # Keep probability, decay, epsilon and weight decay: the defaults of tf_slim.nets'
    # inception_v1/v2/v3 and their arg scopes, with which the checkpoints were trained.
    dropout_keep_prob=0.8,
    weight_decay=0.00004,
    origin="They were trained with TF-Slim. Google made the modules of that name from them.",
)
_INCEPTION_V1_V2 = dict(
    **_INCEPTION,
    image_size=(224, 224),
    # Every layer of the bases of V1 and V2 is padded (SAME), and the pool behind them is
    # global: one pixel is enough to run. Below 32 x 32 the last map is that one pixel.
    min_image_size=(1, 1),
    num_features=1024,
    pool="Logits/global_pool",
    expected_extras=("global_step",),
)

# What ResNet V1 and VGG have in common: their weights are those of the papers' authors.
_FROM_CAFFE = dict(
    # Not Google's, under whose prefix there are none of these weights.
    handle_prefix="slim/imagenet",
    image_size=(224, 224),
    input_scale=255.0,
    # Of RGB: `vgg_preprocessing` of the TF-Slim image classification library.
    input_offsets=(123.68, 116.78, 103.94),
    num_classes=1000,
    background=False,
    labels="Classes 0 to 999 are those of ILSVRC-2012-CLS, without a background class: class 0 is the "
    "second line of " + _LABELS,
)
_RESNET_V1 = dict(
    **_FROM_CAFFE,
    builder="resnet_v1",
    # Every layer is padded, and the pool behind them is global.
    min_image_size=(1, 1),
    num_features=2048,
    pool="pool5",
    dropout=None,
    dropout_keep_prob=None,
    head="logits",
    squeeze="SpatialSqueeze",
    predictions="predictions",
    # The default of tf_slim.nets' resnet_arg_scope.
    weight_decay=0.0001,
    origin="The authors of the paper trained them in Caffe, and TF-Slim's converted them. No module of "
    "Google's was made from them: those called `google/imagenet/resnet_v1_...` have other weights, and "
    "1001 classes.",
)
_VGG = dict(
    **_FROM_CAFFE,
    builder="vgg",
    # A kernel of 7 x 7, unpadded, reads the map that five pools make 32 times smaller.
    min_image_size=(224, 224),
    num_features=4096,
    pool="global_pool",
    dropout="dropout7",
    # The default of tf_slim.nets' vgg_16/19, and of their arg scope.
    dropout_keep_prob=0.5,
    head="fc8",
    squeeze="fc8/squeezed",
    predictions="predictions",
    batch_norm=None,
    weight_decay=0.0005,
    origin="The authors of the paper trained them in Caffe, and TF-Slim's converted them. Google never "
    "made a module from them.",
)


def _inception_norms(count: int) -> BatchNorm:
    return BatchNorm(count=count, decay=0.9997, epsilon=0.001, gamma=False)


def _resnet_v1(depth: int, *, num_batch_norms: int, accuracy: tuple[float, float]) -> Model:
    name = f"resnet_v1_{depth}"
    return Model(
        **_RESNET_V1,
        name=name,
        title=f"ResNet V1 {depth}",
        summary=f"A residual network of {depth} layers: each block adds what it makes of its input to "
        "that input. TF-Slim's has the stride in the 3 x 3 convolution of a stage's last block.",
        papers=(_RESIDUAL,),
        layers=f"resnet_v1.{name}",
        scope=name,
        # Decay and epsilon: the defaults of tf_slim.nets' resnet_arg_scope.
        batch_norm=BatchNorm(count=num_batch_norms, decay=0.997, epsilon=1e-5, gamma=True),
        num_regularized=num_batch_norms + 1,
        expected_extras=("global_step", f"{name}/mean_rgb"),
        archive=_archive(name, max_member_bytes=384 << 20),
        accuracy=accuracy,
    )


def _vgg(
    depth: int, *, convolutions: tuple[int, ...], letter: str, accuracy: tuple[float, float]
) -> Model:
    name = f"vgg_{depth}"
    return Model(
        **_VGG,
        name=name,
        title=f"VGG {depth}",
        summary=f"Configuration {letter} of the paper: {depth} layers with weights, convolutions of 3 x 3 and "
        "three dense layers, which have most of its parameters. TF-Slim's has these as convolutions, so that "
        "larger images give maps, which are averaged here.",
        papers=(_VERY_DEEP,),
        layers=convolutions,
        scope=name,
        num_regularized=sum(convolutions) + 3,
        expected_extras=("global_step", f"{name}/mean_rgb"),
        archive=_archive(name, max_member_bytes=768 << 20),
        accuracy=accuracy,
    )


def _archive(name: str, *, max_member_bytes: int) -> Archive:
    """One of which nobody published size and sum."""
    archive = f"{name}_2016_08_28.tar.gz"
    return Archive(
        name=archive,
        member=f"{name}.ckpt",
        urls=(_STORAGE + archive,),
        num_bytes=None,
        sha256=None,
        max_member_bytes=max_member_bytes,
    )


# Sizes and sums of the archives: Open Model Zoo, models googlenet-v1-tf and
# googlenet-v2-tf. Accuracies: the table of pre-trained models in the TF-Slim
# image classification library.
MODELS = (
    Model(
        **_INCEPTION_V1_V2,
        name="inception_v1",
        title="Inception V1",
        summary="The network known as GoogLeNet: nine blocks, each of which looks at its input "
        "through kernels of several sizes side by side. TF-Slim's has batch normalization where the "
        "paper has local response normalization, and 3 x 3 kernels where it has 5 x 5.",
        papers=(_GOING_DEEPER,),
        layers="inception.inception_v1_base",
        scope="InceptionV1",
        dropout="Logits/Dropout_0b",
        head="Logits/Conv2d_0c_1x1",
        # Stock Slim opens this scope inside `Logits` in V1, and beside it in V2.
        predictions="Logits/Predictions",
        batch_norm=_inception_norms(57),
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
        **_INCEPTION_V1_V2,
        name="inception_v2",
        title="Inception V2",
        summary="Inception V1 grown deeper, with two 3 x 3 convolutions for each larger one, and with "
        "batch normalization, with which it was introduced. TF-Slim's begins with a separable "
        "convolution.",
        papers=(_BATCH_NORMALIZATION, _GOING_DEEPER),
        layers="inception.inception_v2_base",
        scope="InceptionV2",
        dropout="Logits/Dropout_1b",
        head="Logits/Conv2d_1c_1x1",
        predictions="Predictions",
        batch_norm=_inception_norms(68),
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
    Model(
        **_INCEPTION,
        name="inception_v3",
        title="Inception V3",
        summary="Inception V2 with its larger convolutions factorized further, into 1 x 7 and 7 x 1 among "
        "others. The auxiliary classifier, which only its training needs, is left out.",
        papers=(_RETHINKING,),
        layers="inception.inception_v3_base",
        scope="InceptionV3",
        image_size=(299, 299),
        # Some of its layers are not padded; measured: on 74 x 74, a map would have no pixel left.
        min_image_size=(75, 75),
        num_features=2048,
        pool="Logits/GlobalPool",
        dropout="Logits/Dropout_1b",
        head="Logits/Conv2d_1c_1x1",
        predictions="Predictions",
        batch_norm=_inception_norms(94),
        num_regularized=95,
        expected_extras=("global_step", "InceptionV3/AuxLogits/*"),
        archive=_archive("inception_v3", max_member_bytes=192 << 20),
        accuracy=(78.0, 93.9),
    ),
    _resnet_v1(50, num_batch_norms=53, accuracy=(75.2, 92.2)),
    _resnet_v1(101, num_batch_norms=104, accuracy=(76.4, 92.9)),
    _resnet_v1(152, num_batch_norms=155, accuracy=(76.8, 93.2)),
    _vgg(16, convolutions=(2, 2, 3, 3, 3), letter="D", accuracy=(71.5, 89.8)),
    _vgg(19, convolutions=(2, 2, 4, 4, 4), letter="E", accuracy=(71.1, 89.8)),
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
