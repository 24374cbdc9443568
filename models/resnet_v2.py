"""ResNet V2 50, 101 and 152: their records, and the builder of their bases."""

from typing import Any

from slimhub.models.model import Model
from slimhub.models.published import FROM_SLIM
from slimhub.models.resnet_v1 import build, resnet

_IDENTITY = (
    "K. He, X. Zhang, S. Ren, J. Sun: Identity Mappings in Deep Residual Networks, 2016, "
    "arXiv 1603.05027"
)


def _build(model: Model, inputs, **arguments):
    """Build a stock network. Its last feature map is normalized, unlike its last end point, `block4`."""
    del model
    from slimhub.models import slim

    stock = slim.nets.resnet_v2
    return build(stock.resnet_v2, stock.resnet_v2_block, inputs, **arguments)


_RESNET_V2: dict[str, Any] = dict(
    FROM_SLIM,
    image_size=(224, 224),
    papers=(_IDENTITY,),
    build_base=_build,
    # That of the last feature map.
    norms_outside_units=1,
    block="each block adds what it makes of its input to that input, with batch norm and ReLU before each "
    "convolution, not after it.",
    date="2017_04_14",
    origin=FROM_SLIM["origin"] + " TF-Slim measured their accuracies on images of 299 x 299.",
)

# Accuracies are from the table of pre-trained models in the TF-Slim image classification library, whose
# footnote gives the size of the images.
MODELS = (
    resnet(2, units=(3, 4, 6, 3), accuracy=(75.6, 92.8), **_RESNET_V2),
    resnet(2, units=(3, 4, 23, 3), accuracy=(77.0, 93.7), **_RESNET_V2),
    resnet(2, units=(3, 8, 36, 3), accuracy=(77.8, 94.1), **_RESNET_V2),
)
