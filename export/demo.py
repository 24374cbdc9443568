"""Exports a version of two networks from synthetic checkpoints, and uses the modules as anybody would.

Usage: python -m slimhub.export.demo [--version=3] [--output=build/demo]

Of version 5, a feature-vector module is fine-tuned, too: a few steps on drawn discs and squares.
"""

import contextlib
from pathlib import Path

from absl import flags

from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import command_line, contract

# Quick ones, which a page of output has room for.
_MODELS = catalog.names()[:2]

_VERSION = flags.DEFINE_enum(
    "version", "3", [str(version) for version in contract.VERSIONS], "Version to export."
)
_OUTPUT = flags.DEFINE_string("output", "build/demo", "Root directory of the modules.")


def main(arguments: list[str]) -> int:
    del arguments
    with command_line.quiet_imports():
        from slimhub.export import exporter, half, report, worker

    version = int(_VERSION.value)
    request = ExportRequest(
        version=version,
        models=_MODELS,
        checkpoint="synthetic",
        output=Path(_OUTPUT.value),
        overwrite=True,
    )
    with contextlib.closing(worker.Worker(half.Half(training=True))) as other:
        outcomes = report.show(request, exporter.export(request, other=other))
    published = [outcome for outcome in outcomes if outcome.error is None]
    for outcome in published:
        _use(outcome)
    features = [outcome for outcome in published if outcome.num_classes is None]
    if contract.VERSIONS[version].format.callable and features:
        _fine_tune(features[0])
    return report.exit_code(outcomes)


def _use(outcome) -> None:
    import numpy as np

    with command_line.quiet_imports():
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
    import numpy as np

    with command_line.quiet_imports():
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
    """A disc, or by 1 a square, before a gradient: float32 `[len(labels), *size, 3]` in [0, 1]."""
    import numpy as np

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
    command_line.run(main)


if __name__ == "__main__":
    run()
