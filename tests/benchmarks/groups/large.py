"""Large networks: what the export of one takes in memory and time.

The weights of VGG 16 are most of what a process that exports it holds, and the checkpoint is of the
format that Slim's were published in, of which TensorFlow reads a variable into three places.
"""

import functools
import sys

from benchmarks import processes
from benchmarks.figures import Figure
from benchmarks.workshop import Workshop

PEERS = ()
# Of the weights, above what importing TensorFlow takes.
_MOST_MEMORY = 3.5


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """One export of versions 3 and 5; with `quick`, of version 3 only."""
    imported = processes.run(sys.executable, "-c", "import tensorflow")
    return [
        figure
        for version in ((3,) if quick else (3, 5))
        for figure in _export(workshop, version, imported)
    ]


def _export(workshop: Workshop, version: int, imported: processes.Run) -> list[Figure]:
    with workshop.scratch() as output:
        run = processes.run(*workshop.export(output, version=version, models=("vgg_16",)))
        weights = sum(path.stat().st_size for path in output.rglob("variables.data-*"))
    [module] = run.answer["modules"]
    what = f"VGG 16, version {version}"
    bytes_figure = functools.partial(
        Figure, group="large", peer="its weights", theirs=[weights], unit="B"
    )
    return [
        bytes_figure(
            what=f"{what}, peak memory above import",
            ours=[run.peak_bytes - imported.peak_bytes],
            most_ratio=_MOST_MEMORY,
        ),
        bytes_figure(what=f"{what}, its files", ours=[module["num_bytes"]]),
        Figure(
            group="large",
            what=f"{what}, exporting",
            ours=[run.seconds],
            peer="import tensorflow",
            theirs=[imported.seconds],
        ),
    ]
