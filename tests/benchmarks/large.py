"""Large networks: what the export of one takes in memory and time.

The weights of VGG 16 are most of what a process that exports it holds, and the checkpoint is of the
format that Slim's were published in, of which TensorFlow reads a variable into three places.
"""

import sys

from benchmarks import processes
from benchmarks.figures import Figure, Measured, Series
from benchmarks.workshop import Workshop, answer

ENVIRONMENTS = ()
_GROUP = "large"
_MODEL = "vgg_16"
_MODULE = f"{_MODEL}/classification"
# Of the weights, above what importing TensorFlow takes.
_MOST_MEMORY = 3.0


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """One export of versions 3 and 5; with `quick`, of version 3 only."""
    workshop.write_checkpoint(_MODEL)
    imported = processes.run(sys.executable, "-c", "import tensorflow")
    figures = []
    for version in (3,) if quick else (3, 5):
        with workshop.scratch() as output:
            run = processes.run(*workshop.export(output, _MODULE, version=version))
            weights = sum(path.stat().st_size for path in output.rglob("variables.data-*"))
        [module] = answer(run)["modules"]
        figures += _figures(f"VGG 16, version {version}", run, imported, module, weights)
    return Measured(figures=figures)


def _figures(what: str, run: processes.Run, imported: processes.Run, module, weights: int):
    above = Series(name="above import", unit="B")
    if run.peak_bytes and imported.peak_bytes:
        above = _bytes("above import", run.peak_bytes - imported.peak_bytes)
    return [
        Figure(
            group=_GROUP,
            what=f"{what}, peak memory above import",
            ours=above,
            peer=_bytes("its weights", weights),
            most_ratio=_MOST_MEMORY,
        ),
        Figure(
            group=_GROUP,
            what=f"{what}, its files",
            ours=_bytes("slimhub", module["num_bytes"]),
            peer=_bytes("its weights", weights),
        ),
        Figure(
            group=_GROUP,
            what=f"{what}, exporting",
            ours=Series(name="slimhub", samples=(run.seconds,)),
            peer=Series(name="import tensorflow", samples=(imported.seconds,)),
        ),
    ]


def _bytes(name: str, number: int) -> Series:
    return Series(name=name, unit="B", samples=(number,))
