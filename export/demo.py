"""Exports version 3 from a synthetic checkpoint, and uses the modules as anybody would.

Usage: python -m slimhub.export.demo [--output=build/demo]
"""

from pathlib import Path

from absl import flags

from slimhub.export.request import ExportRequest
from slimhub.signatures import command_line

_OUTPUT = flags.DEFINE_string("output", "build/demo", "Root directory of the modules.")


def main(arguments: list[str]) -> int:
    del arguments
    from slimhub.export import exporter, report

    request = ExportRequest(
        version=3, checkpoint="synthetic", output=Path(_OUTPUT.value), overwrite=True
    )
    outcomes = report.show(request, exporter.export(request))
    for outcome in outcomes:
        if outcome.error is None:
            _use(outcome)
    return report.exit_code(outcomes)


def _use(outcome) -> None:
    import numpy as np
    import tensorflow_hub as hub

    images = _picture(np)
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


def _picture(np):
    """A yellow disc before a blue-green gradient: float32 `[1, 224, 224, 3]` in [0, 1]."""
    y, x = np.mgrid[0:224, 0:224] / 224
    picture = np.stack([np.zeros_like(x), x, y], axis=-1)
    picture[(x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1] = (1, 0.8, 0)
    return picture[np.newaxis].astype(np.float32)


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
