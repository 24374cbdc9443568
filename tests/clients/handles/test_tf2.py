"""Programs of TensorFlow 2 that name modules by their URLs: each runs unchanged."""

import numpy as np
import pytest
import tensorflow as tf
from clients.table import of
from clients.tf_hub.steps import assert_moved

IMAGENET = "https://tfhub.dev/google/imagenet/inception_v1"
PREVIEW = "https://tfhub.dev/google/tf2-preview/inception_v3"

both = pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)
newest = pytest.mark.parametrize("environment", ["tf-newest"], indirect=True)


@pytest.mark.client("hub.KerasLayer", "by its URL on TF Hub, Adam, fit and predict")
@pytest.mark.parametrize(
    ("url", "size"),
    [
        pytest.param(f"{IMAGENET}/feature_vector/4", 224, id="4"),
        pytest.param(f"{IMAGENET}/feature_vector/5", 224, id="5", marks=pytest.mark.slow),
        pytest.param(f"{PREVIEW}/feature_vector/4", 299, id="preview-4", marks=pytest.mark.slow),
        pytest.param(
            f"{PREVIEW}/classification/4", 299, id="preview-classes-4", marks=pytest.mark.slow
        ),
    ],
)
@both
def test_fine_tuned(use, row, reference, outputs, drawn, url, size):
    """A model predicts as Slim does, before and after a step of `fit`, which moves all of it, and learns."""
    given = drawn(size)
    result = use("fine_tune", url, images=given)
    first, second = of(result.arrays, "first "), of(result.arrays, "second ")
    weights = reference(url).weights
    row.compare({name: first[name] for name in weights}, weights, tolerance=0)
    for step in (first, second):
        held = {name: step[name] for name in weights}
        predicted = classify(outputs(url, given["images"], held), step["kernel"], step["bias"])
        row.compare({"predicted": step["predicted"]}, {"predicted": predicted})

    statistics = reference(url, training=True).statistics(given["images"])
    after = {name: second[name] for name in weights}
    assert_moved(row, weights, after, statistics, momentum=0.99)
    trainable = reference(url).trainable
    assert result.facts["trainable"] == len(trainable)
    assert all((second[name] != weights[name]).any() for name in trainable)
    losses = result.facts["losses"]
    assert losses[-1] < losses[0]


def classify(features, kernel, bias):
    """Return the probabilities of the classes."""
    return tf.nn.softmax(features @ kernel + bias).numpy()


@pytest.mark.client("hub.KerasLayer", "several URLs on TF Hub, each loaded when it is asked for")
@pytest.mark.parametrize(
    ("size", "urls"),
    [
        pytest.param(
            224,
            {
                "V1, with end points": f"{IMAGENET}/feature_vector/5",
                "V1": f"{IMAGENET}/feature_vector/4",
                "V1 of TensorFlow 1": f"{IMAGENET}/feature_vector/3",
            },
            id="V1",
        ),
        pytest.param(299, {"V3": f"{PREVIEW}/feature_vector/4"}, id="V3", marks=pytest.mark.slow),
    ],
)
@newest
def test_embeddings(use, row, outputs, drawn, size, urls):
    """Each vector is that of the module that a request names, and no other is loaded."""
    pictures = dict(zip("abc", drawn(size)["images"], strict=False))
    requests = [(name, picture) for picture in pictures for name in urls]
    result = use("embeddings", *urls.values(), images=pictures, requests=requests)
    assert result.facts["loaded"] == sorted(urls)
    expected = {
        f"{name}: {picture}": outputs(urls[name], pictures[picture][np.newaxis])[0]
        for name, picture in requests
    }
    row.compare(result.arrays, expected)


@pytest.mark.client("hub.KerasLayer", "the first kernel, found by its name")
@newest
def test_first_kernel(use, row, reference, drawn):
    """It is the checkpoint's, and does in another network what it does in this."""
    url = f"{IMAGENET}/feature_vector/4"
    images = drawn(224)["images"][:1]
    result = use("first_kernel", url, images={"images": images})
    kernel = reference(url).weights["InceptionV1/Conv2d_1a_7x7/weights"]
    row.compare({"kernel": result.arrays["kernel"]}, {"kernel": kernel}, tolerance=0)
    maps = tf.nn.relu(tf.nn.conv2d(images, kernel, strides=2, padding="SAME")).numpy()
    row.compare({"maps": result.arrays["maps"]}, {"maps": maps})


@pytest.mark.client("hub.KerasLayer", "a signature and an output key, by its URL on TF Hub")
@both
def test_signature_layer(use, row, reference, outputs, drawn):
    """Of modules that have signatures, it gives the feature vector, with nothing to train."""
    urls = [f"{IMAGENET}/{what}" for what in ("feature_vector/3", "classification/3")]
    images = drawn(224)["images"][:2]
    result = use("signature_layer", *urls, images={"images": images})
    assert result.facts["trainable"] == 0
    # Both have the same weights but for the head.
    row.compare(result.arrays, dict.fromkeys(urls, outputs(urls[0], images)))


@pytest.mark.client("hub.load", "calls, by URLs on TF Hub")
@both
def test_call(use, row, outputs, batches):
    """Versions that can be called give what Slim gives, for images of any size."""
    urls = [f"{IMAGENET}/feature_vector/{version}" for version in (4, 5)]
    result = use("call", *urls, images=batches(4))
    expected = {
        f"{name} {url}": outputs(url, images) for url in urls for name, images in batches(4).items()
    }
    row.compare(result.arrays, expected)
