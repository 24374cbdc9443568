"""Programs that use a module, as shown on its page; each runs unchanged where its URL is served."""

import dataclasses

from slimhub.signatures.contract.contract import Contract

_TF1 = """\
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub

tf.disable_eager_execution()
url = "{url}"
module = hub.Module(url{how})
height, width = hub.get_expected_image_size(module)
images = tf.placeholder(tf.float32, [None, height, width, 3])
"""

_TF2 = """\
import numpy as np
import tensorflow_hub as hub

images = np.zeros([1, {height}, {width}, 3], np.float32)
url = "{url}"
layer = hub.KerasLayer(url{how})
"""

_WITH_MOMENTUM = """\
module(
    {{"images": images, "batch_norm_momentum": 0.997}},
    signature="image_{task}_with_bn_hparams",
)"""

_UPDATES = """\
updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)  # run them with the train op
"""

_LOSSES = """\
losses = tf.losses.get_regularization_losses()  # add them to the loss
"""

_KERAS_2 = """\
import numpy as np
import tensorflow_hub as hub
import tf_keras

url = "{url}"
layer = hub.KerasLayer(url, trainable=True{how})
model = tf_keras.Sequential([layer, tf_keras.layers.Dense(3)])
model.compile("sgd", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
images, labels = np.zeros([4, {height}, {width}, 3], np.float32), np.array([0, 1, 2, 0])
history = model.fit(images, labels)  # with the L2 losses of the module
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snippet:
    """A program and its title."""

    title: str
    code: str


def usage(promise: Contract, *, url: str) -> tuple[Snippet, ...]:
    """Return programs for inference, one for each library that loads the module."""
    result = "logits" if promise.network.logits else "features"
    # The last end point is the pool of the one before.
    maps = [*promise.network.end_points][:-1]
    end_points = "outputs = layer(images)\n"
    if maps:
        end_points += f'feature_map = outputs["{maps[-1]}"]\n'
    if promise.format.callable:
        how = ", arguments=dict(return_endpoints=True)"
    else:
        how = ', signature="image_feature_vector", signature_outputs_as_dict=True'
    snippets = [
        _tf2(promise, "TensorFlow 2", f"{result} = layer(images)\n", url=url),
        _tf2(promise, "TensorFlow 2, with all end points", end_points, url=url, how=how),
    ]
    if not promise.format.callable:
        code = _TF1.format(url=url, how="") + f"{result} = module(images)\n"
        snippets.append(Snippet(title="TensorFlow 1", code=code))
    return tuple(snippets)


def training(promise: Contract, *, url: str) -> tuple[Snippet, ...]:
    """Return programs for fine-tuning."""
    settable = promise.momentum_input is not None
    if promise.format.callable:
        height, width = promise.network.image_size
        how = ", arguments=dict(batch_norm_momentum=0.997)" if settable else ""
        code = _KERAS_2.format(url=url, how=how, height=height, width=width)
        return (Snippet(title="Keras 2", code=code),)
    code = _TF1.format(url=url, how=', trainable=True, tags={"train"}')
    result = "logits" if promise.network.logits else "features"
    call = _WITH_MOMENTUM.format(task=promise.task) if settable else "module(images)"
    # Without batch norm, there are no updates.
    updates = "" if promise.momentum is None else _UPDATES
    return (Snippet(title="TensorFlow 1", code=f"{code}{result} = {call}\n{updates}{_LOSSES}"),)


def _tf2(promise: Contract, title: str, use: str, *, url: str, how: str = "") -> Snippet:
    height, width = promise.network.image_size
    return Snippet(
        title=title, code=_TF2.format(url=url, how=how, height=height, width=width) + use
    )
