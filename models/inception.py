"""Inception V1, V2 and V3: their records, and the builder of their bases."""

from typing import Any

from slimhub.models.model import BatchNorm, Model
from slimhub.models.published import FROM_SLIM, archive

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


def _build(model: Model, inputs, *, training: bool, scope):
    """Build a stock base, and key its end points `Scope/EndPoint`: the stock bases leave the scope out."""
    del training
    from slimhub.models import slim

    bases = {
        "InceptionV1": slim.nets.inception.inception_v1_base,
        "InceptionV2": slim.nets.inception.inception_v2_base,
        "InceptionV3": slim.nets.inception.inception_v3_base,
    }
    net, end_points = bases[model.scope](inputs, scope=scope)
    return net, {f"{model.scope}/{name}": tensor for name, tensor in end_points.items()}


_INCEPTION: dict[str, Any] = dict(
    **FROM_SLIM,
    build_base=_build,
    squeeze="Logits/SpatialSqueeze",
    # Keep probability, decay, epsilon and weight decay are the defaults of inception_v1/v2/v3 in
    # tf_slim.nets and of their arg scopes. The checkpoints were trained with them.
    dropout_keep_prob=0.8,
    weight_decay=0.00004,
)
_INCEPTION_V1_V2: dict[str, Any] = dict(
    **_INCEPTION,
    image_size=(224, 224),
    # All layers of these bases are padded (SAME), and the pool after them is global, so one pixel
    # is enough. For images smaller than 32 x 32, the last feature map is a single pixel.
    min_image_size=(1, 1),
    num_features=1024,
    pool="Logits/global_pool",
    expected_extras=("global_step",),
)


def _inception_norms(count: int) -> BatchNorm:
    return BatchNorm(count=count, decay=0.9997, epsilon=0.001, gamma=False)


# Sizes and SHA-256 of the archives are from Open Model Zoo, models googlenet-v1-tf and googlenet-v2-tf.
# Accuracies are from the table of pre-trained models in the TF-Slim image classification library.
MODELS = (
    Model(
        **_INCEPTION_V1_V2,
        name="inception_v1",
        title="Inception V1",
        summary="The network known as GoogLeNet: nine blocks, each of which looks at its input "
        "through kernels of several sizes side by side. TF-Slim's has batch normalization where the "
        "paper has local response normalization, and 3 x 3 kernels where it has 5 x 5.",
        papers=(_GOING_DEEPER,),
        scope="InceptionV1",
        dropout="Logits/Dropout_0b",
        head="Logits/Conv2d_0c_1x1",
        # Stock Slim opens this scope inside `Logits` in V1, but beside it in V2.
        predictions="Logits/Predictions",
        batch_norm=_inception_norms(57),
        num_regularized=58,
        archive=archive(
            "inception_v1",
            max_member_bytes=64 << 20,
            mirror="googlenet-v1-tf",
            num_bytes=24642554,
            sha256="7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
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
        scope="InceptionV2",
        dropout="Logits/Dropout_1b",
        head="Logits/Conv2d_1c_1x1",
        predictions="Predictions",
        batch_norm=_inception_norms(68),
        num_regularized=69,
        archive=archive(
            "inception_v2",
            max_member_bytes=96 << 20,
            mirror="googlenet-v2-tf",
            num_bytes=41577079,
            sha256="3b9d269984402003d8330affc4e1463c0b4cfd536339ad12446a48d72477480a",
        ),
        accuracy=(73.9, 91.8),
    ),
    Model(
        **_INCEPTION,
        name="inception_v3",
        title="Inception V3",
        other_prefixes=("google/tf2-preview",),
        summary="Inception V2 with its larger convolutions factorized further, into 1 x 7 and 7 x 1 among "
        "others. The auxiliary classifier, which only its training needs, is left out.",
        papers=(_RETHINKING,),
        scope="InceptionV3",
        image_size=(299, 299),
        # Some layers are not padded. Measured: with 74 x 74, a feature map has no pixel left.
        min_image_size=(75, 75),
        num_features=2048,
        pool="Logits/GlobalPool",
        dropout="Logits/Dropout_1b",
        head="Logits/Conv2d_1c_1x1",
        predictions="Predictions",
        batch_norm=_inception_norms(94),
        num_regularized=95,
        expected_extras=("global_step", "InceptionV3/AuxLogits/*"),
        archive=archive("inception_v3", max_member_bytes=192 << 20),
        accuracy=(78.0, 93.9),
    ),
)
