"""ResNet V1 50, 101 and 152: their records, the builder of their bases, and what ResNet V2 shares."""

import functools
from collections.abc import Callable
from typing import Any

from slimhub.models.model import BatchNorm, Model
from slimhub.models.published import FROM_CAFFE, archive

_RESIDUAL = (
    "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, 2015, "
    "arXiv 1512.03385"
)


def build(network, block, inputs, *, units: tuple[int, ...], training: bool, scope):
    """Build a stock network of four blocks without its classification layer and its global pool.

    Args:
      network, block: functions of tf_slim.nets that build the network, and describe a block.
      inputs, training, scope: arguments of `BuildBase`.
      units: number of units in each block.

    Returns:
      The feature map and the end points, see `BuildBase`.
    """
    from slimhub.models import slim

    blocks = [
        block(f"block{number}", base_depth=32 << number, num_units=count, stride=1 + (number < 4))
        for number, count in enumerate(units, start=1)
    ]
    with slim.arg_scope([slim.max_pool2d], padding="SAME"):
        return network(
            inputs, blocks, num_classes=None, is_training=training, global_pool=False, scope=scope
        )


def _build(model: Model, inputs, **arguments):
    del model
    from slimhub.models import slim

    stock = slim.nets.resnet_v1
    return build(stock.resnet_v1, stock.resnet_v1_block, inputs, **arguments)


def resnet(
    version: int,
    *,
    units: tuple[int, ...],
    build_base: Callable[..., Any],
    norms_outside_units: int,
    block: str,
    date: str,
    **facts: Any,
) -> Model:
    """Return the record of a ResNet.

    Args:
      version: 1 or 2.
      units: number of units in each block.
      build_base: `BuildBase` that also takes `units`.
      norms_outside_units: number of batch norms that are in no unit.
      block: what a block does, in words.
      date: date in the name of the archive.
      facts: the attributes of `Model` in which the networks differ.
    """
    # Three convolutions a unit, the first one and the classification layer.
    depth = 3 * sum(units) + 2
    name = f"resnet_v{version}_{depth}"
    return Model(
        name=name,
        title=f"ResNet V{version} {depth}",
        summary=f"A residual network of {depth} layers: {block} TF-Slim's has the stride in the 3 x 3 "
        "convolution of a stage's last block.",
        build_base=functools.partial(build_base, units=units),
        scope=name,
        # All layers are padded, and the pool after them is global, so one pixel is enough.
        min_image_size=(1, 1),
        num_features=2048,
        pool="pool5",
        dropout=None,
        dropout_keep_prob=None,
        head="logits",
        squeeze="SpatialSqueeze",
        predictions="predictions",
        batch_norm=BatchNorm(
            count=3 * sum(units) + norms_outside_units,
            # The default of resnet_arg_scope in tf_slim.nets.
            decay=0.997,
            # The default there is 1e-5, but `fused_batch_norm` of TensorFlow 1 raised it to 1.001e-5, for
            # cuDNN. TensorFlow 2 doesn't. Checkpoints converted from Caffe have variances of -1e-5, which
            # would make inference infinite.
            epsilon=1.001e-5,
            gamma=True,
        ),
        # The default of resnet_arg_scope, too.
        weight_decay=0.0001,
        # Those of the layers, and of each block's shortcut.
        num_regularized=depth + len(units),
        expected_extras=("global_step", f"{name}/mean_rgb"),
        archive=archive(name, date=date, max_member_bytes=384 << 20),
        **facts,
    )


_RESNET_V1: dict[str, Any] = dict(
    **FROM_CAFFE,
    papers=(_RESIDUAL,),
    build_base=_build,
    # That of the first convolution, and of each block's shortcut.
    norms_outside_units=5,
    block="each block adds what it makes of its input to that input.",
    date="2016_08_28",
    origin="The authors of the paper trained them in Caffe, and TF-Slim's converted them. No module of "
    "Google's was made from them: those called `google/imagenet/resnet_v1_...` have other weights, and "
    "1001 classes.",
)

# Accuracies are from the table of pre-trained models in the TF-Slim image classification library.
MODELS = (
    resnet(1, units=(3, 4, 6, 3), accuracy=(75.2, 92.2), **_RESNET_V1),
    resnet(1, units=(3, 4, 23, 3), accuracy=(76.4, 92.9), **_RESNET_V1),
    resnet(1, units=(3, 8, 36, 3), accuracy=(76.8, 93.2), **_RESNET_V1),
)
