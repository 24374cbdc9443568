"""Exports a version from a synthetic checkpoint, and uses the modules as anybody would.

Usage: python -m slimhub.export.demo [--version=3] [--output=build/demo]

Version 5 is fine-tuned, too: a small feature-vector module learns to tell drawn discs from squares.
"""

from pathlib import Path

from absl import flags

from slimhub.export.request import ExportRequest
from slimhub.signatures import command_line, contract

_VERSION = flags.DEFINE_enum(
    "version", "3", [str(version) for version in contract.VERSIONS], "Version to export."
)
_OUTPUT = flags.DEFINE_string("output", "build/demo", "Root directory of the modules.")

_STEPS = 20


def main(arguments: list[str]) -> int:
    del arguments
    from slimhub.export import exporter, report

    version = int(_VERSION.value)
    request = ExportRequest(
        version=version, checkpoint="synthetic", output=Path(_OUTPUT.value), overwrite=True
    )
    outcomes = report.show(request, exporter.export(request))
    published = [outcome for outcome in outcomes if outcome.error is None]
    for outcome in published:
        _use(outcome)
    features = [outcome for outcome in published if outcome.num_classes is None]
    if contract.VERSIONS[version].format.callable and features:
        _fine_tune(features[0])
    return report.exit_code(outcomes)


def _use(outcome) -> None:
    import numpy as np
    import tensorflow_hub as hub

    images = _picture(np, size=224, disc=True)[np.newaxis]
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
