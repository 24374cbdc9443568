"""VGG 16 and 19: their records, and the builder of their bases."""

import functools
from typing import Any

from slimhub.models.model import Model
from slimhub.models.published import FROM_CAFFE, archive

_VERY_DEEP = (
    "K. Simonyan, A. Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, "
    "2014, arXiv 1409.1556"
)

_VGG: dict[str, Any] = dict(
    **FROM_CAFFE,
    # Five pools make the map 32 times smaller, and then an unpadded kernel of 7 x 7 reads it.
    min_image_size=(224, 224),
    num_features=4096,
    pool="global_pool",
    dropout="dropout7",
    # The default of vgg_16 and vgg_19 in tf_slim.nets.
    dropout_keep_prob=0.5,
    head="fc8",
    squeeze="fc8/squeezed",
    predictions="predictions",
    batch_norm=None,
    # The default of vgg_arg_scope in tf_slim.nets.
    weight_decay=0.0005,
    origin="The authors of the paper trained them in Caffe, and TF-Slim's converted them. Google never "
    "made a module from them.",
)


def build(model: Model, inputs, *, convolutions: tuple[int, ...], training: bool, scope):
    """Build VGG up to `fc7`. The stock functions can't: they always classify.

    Args:
      model, inputs, training, scope: arguments of `BuildBase`.
      convolutions: number of convolutions before each pool.

    Returns:
      The feature map and the end points, see `BuildBase`.
    """
    from slimhub.models import slim

    outputs = f"{scope.name}_end_points"
    net = inputs
    with slim.arg_scope([slim.conv2d, slim.max_pool2d], outputs_collections=outputs):
        for block, repetitions in enumerate(convolutions, start=1):
            depth = min(64 << (block - 1), 512)
            net = slim.repeat(net, repetitions, slim.conv2d, depth, [3, 3], scope=f"conv{block}")
            net = slim.max_pool2d(net, [2, 2], scope=f"pool{block}")
        net = slim.conv2d(net, model.num_features, [7, 7], padding="VALID", scope="fc6")
        net = slim.dropout(net, model.dropout_keep_prob, training=training, name="dropout6")
        net = slim.conv2d(net, model.num_features, [1, 1], scope="fc7")
    return net, slim.convert_collection_to_dict(outputs)


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
        build_base=functools.partial(build, convolutions=convolutions),
        scope=name,
        num_regularized=sum(convolutions) + 3,
        expected_extras=("global_step", f"{name}/mean_rgb"),
        archive=archive(name, max_member_bytes=768 << 20),
        accuracy=accuracy,
    )


# Accuracies are from the table of pre-trained models in the TF-Slim image classification library.
MODELS = (
    _vgg(16, convolutions=(2, 2, 3, 3, 3), letter="D", accuracy=(71.5, 89.8)),
    _vgg(19, convolutions=(2, 2, 4, 4, 4), letter="E", accuracy=(71.1, 89.8)),
)
