"""Half of an export: one mode, from the Slim graph to what the written module does in it.

The modes have nothing in common but the directory of the module, so each may have a process.
"""

import ctypes
import dataclasses
import gc
from collections.abc import Mapping
from pathlib import Path

from slimhub.export import parity, reference, restore, slim_graph
from slimhub.models.catalog import Model
from slimhub.signatures import conformance, contract
from slimhub.signatures.module import Module
from slimhub.signatures.subject import Subject


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found of a module in one mode.

    Attributes:
      results: of the checks that run it.
      differences: to the Slim graph, by output; none if a check failed.
    """

    results: tuple[conformance.Result, ...]
    differences: Mapping[str, float]


class Half:
    """One mode; the Slim graph and what it gave are kept for all modules of a model."""

    def __init__(self, *, training: bool):
        self._training = training
        self._built: slim_graph.SlimGraph | None = None
        self._references: list[reference.Reference] = []

    def build(self, model: Model, *, version: int, num_classes: int | None):
        """Builds the Slim graph, and gives its `slim_graph.Definition`."""
        self._references = []
        self._model, self._version, self._num_classes = model, version, num_classes
        self._built = slim_graph.build(
            model, version=version, num_classes=num_classes, training=self._training
        )
        return slim_graph.define(model, self._built)

    def refer(self, checkpoint: Path) -> None:
        """Runs the Slim graph from a checkpoint. Raises `SourceError`."""
        with restore.guarded(checkpoint):
            self._references = reference.run(
                self._model, self._built, version=self._version, checkpoint=checkpoint
            )
        # What it gave is all that is needed of it.
        self._built = None
        _give_back()

    def verify(self, directory: Path, promise: contract.Promise) -> Verdict:
        """Runs a module whose graphs passed their checks, and compares it with the Slim graph."""
        with Subject(Module(directory), promise, training=self._training) as subject:
            results = conformance.check_values(subject)
            differences: dict[str, float] = {}
            if all(result.status == "passed" for result in results):
                references = self._references
                if promise.interface.logits is None and self._num_classes is not None:
                    references = [one.without_head(self._model) for one in references]
                for mode in subject.modes:
                    differences |= parity.compare(subject, mode, references)
        _give_back()
        return Verdict(results=results, differences=differences)


def _give_back() -> None:
    """Gives memory back to the system that is no longer used."""
    # Graphs refer to themselves, and would stay for long.
    gc.collect()
    # Of the GNU C library, which else keeps what was freed.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
