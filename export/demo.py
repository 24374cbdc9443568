"""Export two networks from synthetic weights, and use each module as its consumers would.

Usage: python -m slimhub.export.demo [flags]

Feature vectors of versions 4 and 5 are also fine-tuned: a few steps on images of discs and squares.

Exit codes: those of slimhub.export.

Example: python -m slimhub.export.demo --version=5
"""

import importlib
from pathlib import Path

import numpy as np
from absl import flags

from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures.contract import contract
from slimhub.support import terminal

# Two small networks, which are quick, and whose output fits on a page.
_MODELS = catalog.names()[:2]

_VERSION = flags.DEFINE_enum(
    "version", "3", [str(version) for version in contract.VERSIONS], "Version of the modules."
)
_OUTPUT = flags.DEFINE(
    terminal.PathParser(), "output", "build/demo", "Directory to write modules below."
)


def main(arguments: list[str]) -> int:
    del arguments
    with terminal.quiet_imports():
        # tf_keras, and TensorFlow.
        importlib.import_module("tensorflow_hub")
        from slimhub.export import pipeline, report
        from slimhub.export.verification import processes

    version = int(_VERSION.value)
    request = ExportRequest(
        version=version,
        models=_MODELS,
        checkpoint="synthetic",
        output=Path(_OUTPUT.value),
        overwrite=True,
    )
    with processes.ForkedProcess() as executor:
        outcomes = report.show(request, pipeline.export(request, executor=executor))
    published = [outcome for outcome in outcomes if outcome.error is None]
    for outcome in published:
        _use(outcome)
    features = [outcome for outcome in published if outcome.num_classes is None]
    if contract.VERSIONS[version].format.callable and features:
        _fine_tune(features[0])
    return report.exit_code(outcomes)


def _use(outcome) -> None:
    import tensorflow_hub as hub

    *_, model, _, _ = outcome.handle.split("/")
    images = _pictures(size=catalog.get(model).image_size, labels=[0])
    outputs = hub.KerasLayer(str(outcome.directory))(images).numpy()
    print(f"\nhub.KerasLayer({str(outcome.directory)!r})")
    print(f"  weights     {outcome.weights}")
    print(f"  parity      {outcome.parity:.1e} of the largest magnitude, to the Slim graph")
    print(f"  signatures  {', '.join(outcome.signatures)}")
    print(f"  images      {images.dtype} {images.shape}, in [0, 1]")
    print(f"  output      {outputs.dtype} {outputs.shape}")
    if outcome.num_classes:
        top = np.argsort(-outputs[0])[:5]
        print(f"  top five    {', '.join(map(str, top))} (UNTRAINED: these classes mean nothing)")


def _fine_tune(outcome) -> None:
    import tensorflow_hub as hub
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    labels = np.arange(80) % 2
    layer = hub.KerasLayer(
        str(outcome.directory), trainable=True, arguments=dict(batch_norm_momentum=0.7)
    )
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(2)])
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.SGD(0.05), loss)
    print(f"\nhub.KerasLayer({str(outcome.directory)!r}, trainable=True), fine-tuned")
    images = _pictures(size=(48, 48), labels=labels)
    losses = model.fit(images, labels, batch_size=16, epochs=4, verbose=0).history["loss"]
    print(f"  weights     {len(layer.trainable_weights)} of {len(layer.weights)} are trained")
    print(f"  loss        {', '.join(f'{value:.2f}' for value in losses)}: each of five steps")


def _pictures(*, size: tuple[int, int], labels):
    """Draw a disc for each label 0 and a square for each 1: float32 `[len(labels), *size, 3]` in [0, 1]."""
    random = np.random.RandomState(1)
    y, x = np.indices(size) / np.reshape(size, (2, 1, 1))
    pictures = []
    for label in labels:
        picture = np.stack([np.zeros_like(x), x / 2, y / 2], axis=-1)
        down, right = abs(y - random.uniform(0.4, 0.6)), abs(x - random.uniform(0.4, 0.6))
        inside = np.maximum(down, right) < 0.25 if label else down**2 + right**2 < 0.08
        picture[inside] = (1, 0.8, 0)
        pictures.append(picture)
    return np.array(pictures, np.float32)


def run() -> None:
    terminal.run(main)


if __name__ == "__main__":
    run()
