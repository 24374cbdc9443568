"""Fine-tuning: steps of a module of version 5, beside the same network trained natively from Slim.

Both train everything below a new head without dropout, from the same weights, on the same images,
with the same loss and optimizer. Nothing is timed before their losses are the same.
"""

import statistics

import numpy as np

from benchmarks import partners
from benchmarks.errors import WrongResultError
from benchmarks.figures import Figure, Measured, Series, interleaved
from benchmarks.workshop import Workshop

ENVIRONMENTS = ()
_MODULE = "inception_v2/feature_vector"
_BATCH = 16
_CLASSES = 5
# The first tells that the networks are the same, the second that the steps are; later ones only
# how far roundings have led apart.
_COMPARED = 2
_TOLERANCE = 1e-4
# Of each contender in a round.
_CALLS = 2
_MODULE_5, _SLIM = "version 5, KerasLayer", "Slim in a session"


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """Both stay, and take turns."""
    batch = workshop.directory / "batch.npz"
    _draw(batch)
    module = workshop.module(5, _MODULE)
    model = _MODULE.split("/")[0]
    checkpoint = workshop.checkpoint(_MODULE)
    with (
        partners.started(_MODULE_5, *workshop.program("train_module"), batch, module) as ours,
        partners.started(_SLIM, *workshop.program("train_slim"), batch, model, checkpoint) as slim,
    ):
        both = {_MODULE_5: ours, _SLIM: slim}
        # They are slow as long as memory is got from the system.
        first = {name: one.ask("run", calls=_COMPARED)["losses"] for name, one in both.items()}
        _compare(first)
        samples = interleaved(
            {
                name: lambda one=one: statistics.median(one.ask("run", calls=_CALLS)["seconds"])
                for name, one in both.items()
            },
            rounds=2 if quick else 10,
            seconds=45,
        )
    series = {name: Series(name=name, samples=tuple(found)) for name, found in samples.items()}
    figure = Figure(
        group="fine-tuning",
        what=f"step, batch {_BATCH}",
        ours=series[_MODULE_5],
        peer=series[_SLIM],
        most_ratio=1.05,
    )
    return Measured(figures=[figure])


def _draw(path) -> None:
    random = np.random.RandomState(2)
    kernel = random.normal(size=(1024, _CLASSES)) / np.sqrt(1024)
    np.savez(
        path,
        images=random.uniform(size=(_BATCH, 224, 224, 3)).astype(np.float32),
        labels=np.arange(_BATCH, dtype=np.int64) % _CLASSES,
        kernel=kernel.astype(np.float32),
    )


def _compare(losses: dict[str, list[float]]) -> None:
    ours, slim = (np.array(losses[name][:_COMPARED]) for name in (_MODULE_5, _SLIM))
    if not np.all(np.abs(ours - slim) <= _TOLERANCE * np.abs(slim)):
        raise WrongResultError(f"losses of the first steps differ: {losses}")
