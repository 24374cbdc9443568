"""Programs of TensorFlow 1 that name modules by their URLs: each runs unchanged."""

import numpy as np
import pictures
import pytest
import tensorflow as tf
from clients.table import of
from clients.tf_hub.steps import assert_moved

SITE = "https://tfhub.dev/google/imagenet"

pytestmark = pytest.mark.parametrize("environment", ["tf-1.15"], indirect=True)


@pytest.mark.slow
@pytest.mark.client("hub.Module", "fine-tuning from an end point, by its URL on TF Hub")
@pytest.mark.parametrize(("version", "momentum"), [(1, 0.997), (3, 0.99)])
def test_end_point(use, row, reference, drawn, version, momentum):
    """In training, the end point is Slim's; a step moves each weight and each moving average, and it learns."""
    url = f"{SITE}/resnet_v2_50/feature_vector/{version}"
    given, graph = drawn(224), reference(url, training=True)
    result = use("end_point", url, images=given, end_point="resnet_v2_50/global_pool")
    before, after = of(result.arrays, "first "), of(result.arrays, "second ")
    row.compare({name: before[name] for name in graph.weights}, graph.weights, tolerance=0)
    found = graph.outputs(version, {"images": given["images"]})
    expected = found["images image_feature_vector:resnet_v2_50/global_pool"]
    row.compare({"net": before["net"]}, {"net": expected.squeeze((1, 2))})
    statistics = graph.statistics(given["images"])
    assert result.facts["updates"] == len(statistics)
    assert result.facts["regularization"] == len(graph.losses())
    after = {name: after[name] for name in graph.weights}
    assert_moved(row, before, after, statistics, momentum=momentum)
    # Batch norm takes biases away again, so these have no gradient.
    weights = [name for name in graph.trainable if not name.endswith("/biases")]
    assert all((after[name] != before[name]).any() for name in weights)
    losses = result.facts["losses"]
    assert losses[-1] < losses[0]


@pytest.mark.client("hub.image_embedding_column", "DNNClassifier, by its URL on TF Hub")
@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_estimator(use, row, outputs, drawn, version):
    """The column gives Slim's features, on which an estimator learns and is evaluated."""
    url, given = f"{SITE}/inception_v1/feature_vector/{version}", drawn(224)
    result = use("estimator", url, images=given)
    features, labels, found = outputs(url, given["images"]), given["labels"], result.arrays
    hidden = features @ found["hiddenlayer_0 kernel"] + found["hiddenlayer_0 bias"]
    logits = np.maximum(hidden, 0) @ found["logits kernel"] + found["logits bias"]
    probabilities = tf.nn.softmax(logits).numpy()
    first, last = result.facts["metrics"]
    expected = {
        "embedding": features,
        "predicted": probabilities,
        "average_loss": -np.log(probabilities[np.arange(len(labels)), labels]).mean(),
        "accuracy": np.mean(probabilities.argmax(1) == labels),
    }
    actual = {**found, **{name: np.array(value) for name, value in last.items()}}
    row.compare({name: actual[name] for name in expected}, expected)
    assert (first["global_step"], last["global_step"]) == (1, 9)
    assert last["average_loss"] < first["average_loss"]


@pytest.fixture
def files(tmp_path):
    """Return a directory with pictures of no size that a module asks for, in folders by class, and their arrays."""
    images, labels = pictures.draw(6, size=180, seed=0)
    levels = np.round(images * 255).astype(np.uint8)
    for number, (image, label) in enumerate(zip(levels, labels, strict=True)):
        folder = tmp_path / "pictures" / pictures.SHAPES[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    in_order = sorted(range(6), key=lambda number: (pictures.SHAPES[labels[number]], number))
    return tmp_path / "pictures", levels[in_order] / np.float32(255)


@pytest.mark.client("hub.load_module_spec", "retraining on bottlenecks, by its URL on TF Hub")
@pytest.mark.parametrize("version", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_retrained(use, row, outputs, files, version):
    """A softmax layer is trained on Slim's features, and what is exported goes from images to classes."""
    url = f"{SITE}/inception_v1/feature_vector/{version}"
    folder, images = files
    result = use("retrain", url, images={}, pictures=str(folder))
    assert result.facts["image"] == [224, 224, 3]
    resized = tf.compat.v1.image.resize_bilinear(images, (224, 224)).numpy()
    features, found = outputs(url, resized), result.arrays
    logits = features @ found["weights"] + found["biases"]
    expected = {"computed": features, "predicted": tf.nn.softmax(logits).numpy()}
    row.compare({name: found[name] for name in expected}, expected)
    assert (found["computed"] == found["from files"]).all()
    assert result.facts["accuracy"] == 1
    losses = result.facts["losses"]
    assert losses[-1] < losses[0] / 2
