"""Computes features of many pictures with Apache Beam: an example to copy.

    python beam_features.py --pictures='photos/*' --module=.../feature_vector/5 --output=results

reads PNG, JPEG, BMP and GIF files, and writes

    results/features-00000-of-00001.tfrecord  tf.train.Example: bytes `path`, floats `features`
    results/rejected-00000-of-00001.jsonl     {"path": ..., "reason": ...}: can't be decoded

Each picture is in one of the two, once. Beam's own flags are welcome: with
`--runner=DataflowRunner`, FlinkRunner or SparkRunner, the same pipeline runs on many machines, on
paths that all of these can read (as `gs://...`), also for the module.
"""

import json

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.io import fileio
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.ml.inference.tensorflow_inference import ModelType, TFModelHandlerNumpy
from apache_beam.options.pipeline_options import PipelineOptions


class FeatureOptions(PipelineOptions):
    @classmethod
    def _add_argparse_args(cls, parser):
        parser.add_argument("--pictures", required=True, help="pattern of their paths")
        parser.add_argument("--module", required=True, help="directory of a module of version 5")
        parser.add_argument("--output", required=True, help="directory for the results")
        parser.add_argument("--size", type=int, default=224, help="height and width of images")
        parser.add_argument("--batch", type=int, default=32, help="most images in a batch")


class Decode(beam.DoFn):
    """Gives `(path, image)`, float32 RGB in [0, 1], and apart from these what is no picture."""

    REJECTED = "rejected"

    def __init__(self, size):
        self._size = size

    def process(self, file):
        path = file.metadata.path
        try:
            # Grey becomes RGB, and an alpha channel is left out.
            image = tf.io.decode_image(file.read(), channels=3, expand_animations=False)
        except tf.errors.OpError as error:
            yield beam.pvalue.TaggedOutput(self.REJECTED, {"path": path, "reason": error.message})
            return
        image = tf.image.convert_image_dtype(image, tf.float32)
        yield path, tf.image.resize(image, (self._size, self._size), antialias=True).numpy()


class Module:
    """Loads a SavedModel as Beam's handler asks for it: left alone, it takes none with Keras 3."""

    def load_weights(self, path):
        self._module = tf.saved_model.load(path)

    def __call__(self, images):
        return self._module(tf.constant(images))


def to_record(path, prediction):
    values = np.asarray(prediction.inference)
    feature = {
        "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.encode()])),
        "features": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def run(options):
    handler = TFModelHandlerNumpy(
        options.module,
        model_type=ModelType.SAVED_WEIGHTS,
        create_model_fn=Module,
        max_batch_size=options.batch,
    )
    with beam.Pipeline(options=options) as pipeline:
        decoded = (
            pipeline
            | fileio.MatchFiles(options.pictures)
            # Without this, one machine would decode all that one pattern matches.
            | beam.Reshuffle()
            | fileio.ReadMatches()
            | beam.ParDo(Decode(options.size)).with_outputs(Decode.REJECTED, main="images")
        )
        (
            decoded.images
            | RunInference(KeyedModelHandler(handler))
            | beam.MapTuple(to_record)
            | "Features"
            >> beam.io.WriteToTFRecord(f"{options.output}/features", file_name_suffix=".tfrecord")
        )
        (
            decoded[Decode.REJECTED]
            | beam.Map(json.dumps)
            | "Rejected"
            >> beam.io.WriteToText(f"{options.output}/rejected", file_name_suffix=".jsonl")
        )


if __name__ == "__main__":
    run(PipelineOptions().view_as(FeatureOptions))
