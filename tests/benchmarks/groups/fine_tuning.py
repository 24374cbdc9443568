"""Fine-tuning: steps of a module of version 5, beside the same network trained natively from Slim.

Both train everything below a new head without dropout, from the same weights, on the same images,
with the same loss and optimizer. Nothing is timed before their losses are the same.
"""

import statistics

import numpy as np

from benchmarks.figures import Figure, interleaved
from benchmarks.processes import Program, ProgramError
from benchmarks.workshop import MODEL, Workshop

PEERS = ()
# The first tells that the networks are the same, the second that the steps are; later ones only
# how far roundings have led apart.
_COMPARED = 2
_TOLERANCE = 1e-4
# Of each contender in a round.
_CALLS = 2


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """Both stay, and take turns."""
    module = workshop.module(5, "feature_vector")
    program = workshop.program("runtimes/train")
    with (
        Program(*program, "module", module) as ours,
        Program(*program, MODEL, workshop.checkpoint()) as slim,
    ):
        # They are slow as long as memory is got from the system.
        _compare(*(one.ask("run", calls=_COMPARED)["losses"] for one in (ours, slim)))
        seconds = interleaved(
            {"ours": lambda: _median(ours), "slim": lambda: _median(slim)},
            rounds=2 if quick else 10,
        )
    figure = Figure(
        group="fine-tuning",
        what="step, batch 16",
        ours=seconds["ours"],
        peer="Slim in a session",
        theirs=seconds["slim"],
        most_ratio=1.05,
    )
    return [figure]


def _compare(ours: list[float], slim: list[float]) -> None:
    if not np.allclose(ours[:_COMPARED], slim[:_COMPARED], rtol=_TOLERANCE, atol=0):
        raise ProgramError(f"losses of the first steps differ: {ours} and {slim}")


def _median(program: Program) -> float:
    return statistics.median(program.ask("run", calls=_CALLS)["seconds"])
