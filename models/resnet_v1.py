"""ResNet V1 50, 101 and 152: their records, and the builder of their bases."""

import functools
from typing import Any

from slimhub.models.model import BatchNorm, Model
from slimhub.models.published import FROM_CAFFE, archive

_RESIDUAL = (
    "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, 2015, "
    "arXiv 1512.03385"
)
_RESNET_V1: dict[str, Any] = dict(
    **FROM_CAFFE,
    # All layers are padded, and the pool after them is global, so one pixel is enough.
    min_image_size=(1, 1),
    num_features=2048,
    pool="pool5",
    dropout=None,
    dropout_keep_prob=None,
    head="logits",
    squeeze="SpatialSqueeze",
    predictions="predictions",
    # The default of resnet_arg_scope in tf_slim.nets.
    weight_decay=0.0001,
    origin="The authors of the paper trained them in Caffe, and TF-Slim's converted them. No module of "
    "Google's was made from them: those called `google/imagenet/resnet_v1_...` have other weights, and "
    "1001 classes.",
)


def _build(model: Model, inputs, *, units: tuple[int, ...], training: bool, scope):
    """Build a stock network of four blocks without its classification layer and its global pool."""
    from slimhub.models import slim

    stock = slim.nets.resnet_v1
    blocks = [
        stock.resnet_v1_block(
            f"block{number}", base_depth=32 << number, num_units=count, stride=1 + (number < 4)
        )
        for number, count in enumerate(units, start=1)
    ]
    with slim.arg_scope([slim.max_pool2d], padding="SAME"):
        return stock.resnet_v1(
            inputs, blocks, num_classes=None, is_training=training, global_pool=False, scope=scope
        )


def _resnet_v1(*, units: tuple[int, ...], accuracy: tuple[float, float]) -> Model:
    # Three convolutions a unit, the first one and the classification layer.
    depth = 3 * sum(units) + 2
    # The first one, three a unit, and that of each block's shortcut.
    num_batch_norms = 1 + 3 * sum(units) + len(units)
    name = f"resnet_v1_{depth}"
    return Model(
        **_RESNET_V1,
        name=name,
        title=f"ResNet V1 {depth}",
        summary=f"A residual network of {depth} layers: each block adds what it makes of its input to "
        "that input. TF-Slim's has the stride in the 3 x 3 convolution of a stage's last block.",
        papers=(_RESIDUAL,),
        build_base=functools.partial(_build, units=units),
        scope=name,
        # The decay is the default of resnet_arg_scope in tf_slim.nets. The default epsilon there is 1e-5,
        # but `fused_batch_norm` of TensorFlow 1 raised it to 1.001e-5, for cuDNN. TensorFlow 2 doesn't.
        # Checkpoints converted from Caffe have variances of -1e-5, which would make inference infinite.
        batch_norm=BatchNorm(count=num_batch_norms, decay=0.997, epsilon=1.001e-5, gamma=True),
        num_regularized=num_batch_norms + 1,
        expected_extras=("global_step", f"{name}/mean_rgb"),
        archive=archive(name, max_member_bytes=384 << 20),
        accuracy=accuracy,
    )


# Accuracies are from the table of pre-trained models in the TF-Slim image classification library.
MODELS = (
    _resnet_v1(units=(3, 4, 6, 3), accuracy=(75.2, 92.2)),
    _resnet_v1(units=(3, 4, 23, 3), accuracy=(76.4, 92.9)),
    _resnet_v1(units=(3, 8, 36, 3), accuracy=(76.8, 93.2)),
)
