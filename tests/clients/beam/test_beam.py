"""Apache Beam's RunInference, on many pictures in files."""

import json

import numpy as np
import pytest
import tensorflow as tf
from clients.beam import odd_pictures
from clients.consumer import PROGRAMS, command

# More than two batches.
COUNT = 80


@pytest.mark.client("Apache Beam", "RunInference on 80 pictures; rejects what is none")
@pytest.mark.parametrize("environment", ["beam"], indirect=True)
def test_features(environment, row, slim, module, tmp_path):
    """The example pipeline gives each picture what Slim gives, and rejects the others."""
    (tmp_path / "pictures").mkdir()
    good, bad = odd_pictures.write(tmp_path / "pictures", count=COUNT)
    path, results = module("inception_v1", "feature_vector", 5), tmp_path / "results"
    command(
        environment,
        "python",
        PROGRAMS / "beam_features.py",
        f"--pictures={tmp_path}/pictures/*",
        f"--module={path}",
        f"--output={results}",
        "--runner=DirectRunner",
    )
    beam, tensorflow = map(environment.pinned, ("apache-beam[tfrecord]", "tensorflow"))
    row.version = f"Apache Beam {beam}, TensorFlow {tensorflow}"
    row.modules.append(5)
    features = list(read_features(results))
    rejected = list(read_rejected(results))
    # Lists: whatever comes twice, or in both, is found.
    assert sorted(path for path, _ in features) == sorted(good)
    assert sorted(one["path"] for one in rejected) == sorted(bad)
    assert all(one["reason"] for one in rejected)
    images = {name: decode(data) for name, data in good.items()}
    row.compare(dict(features), dict(reference(slim("inception_v1", "feature_vector"), images)))


def read_features(results):
    for file in results.glob("features-*"):
        for record in tf.data.TFRecordDataset(str(file)):
            example = tf.train.Example.FromString(record.numpy()).features.feature
            [path] = example["path"].bytes_list.value
            yield path.decode(), np.array(example["features"].float_list.value, np.float32)


def read_rejected(results):
    for file in results.glob("rejected-*"):
        yield from map(json.loads, file.read_text().splitlines())


def decode(data: bytes) -> np.ndarray:
    """A batch of one picture, RGB in [0, 1]."""
    image = tf.cast(tf.io.decode_image(data, channels=3), tf.float32) / 255
    return tf.image.resize(image, (224, 224), antialias=True).numpy()[np.newaxis]


def reference(slim, images):
    # One by one: Slim gives all of its end points.
    for name, image in images.items():
        [features] = slim.outputs(5, {"": image})[" serving_default:feature_vector"]
        yield name, features
