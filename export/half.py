"""Half of an export: one mode, from the Slim graph to what the written module does in it.

The halves share files only, the checkpoint and the module, so each may have a process.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from slimhub.export import memory, parity, reference, slim_graph
from slimhub.export.errors import CheckError, OutputError
from slimhub.export.reasons import reason
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
    """One mode; what its Slim graph gave is kept for all modules of a model."""

    def __init__(self, *, training: bool):
        self._training = training
        self._built: slim_graph.SlimGraph | None = None
        self._references: list[reference.Reference] = []

    def build(self, model: Model, *, version: int, num_classes: int | None):
        """Builds the Slim graph, and gives its `slim_graph.Definition`."""
        self._references = []
        self._model, self._num_classes = model, num_classes
        self._built = slim_graph.build(
            model, version=version, num_classes=num_classes, training=self._training
        )
        return slim_graph.define(model, self._built)

    def refer(self, checkpoint: Path, names: Mapping[str, str], *, into: Path) -> None:
        """Runs the Slim graph from a checkpoint, and keeps what it gives in a directory.

        `names` are those in the checkpoint, by variable.

        Raises:
          SourceError: it can't be restored.
          CheckError: the graph can't be run, for want of memory perhaps.
          OutputError: the directory can't be written.
        """
        try:
            self._references = reference.run(
                self._model, self._built, checkpoint=checkpoint, names=names, into=into
            )
        except OSError as error:
            raise OutputError(
                f"What the Slim graph gives can't be kept (TMPDIR chooses another place): {error}"
            ) from error
        except tf.errors.OpError as error:
            raise CheckError(
                f"The Slim graph of {self._model.name} can't be run: {reason(error)}"
            ) from error
        # What it gave is all that is needed of it.
        self._built = None
        memory.give_back()

    def verify(self, directory: Path, promise: contract.Promise, *, compare: bool) -> Verdict:
        """Runs a module whose graphs may be run; and compares it with the Slim graph.

        Args:
          directory: the module.
          promise: what it is held to.
          compare: whether all other checks passed, so that it has what is compared.
        """
        verdict = self._verify(directory, promise, compare=compare)
        memory.give_back()
        return verdict

    def _verify(self, directory: Path, promise: contract.Promise, *, compare: bool) -> Verdict:
        with Subject(Module(directory), promise, training=self._training) as subject:
            results = conformance.check_values(subject)
            if not compare or any(result.status != "passed" for result in results):
                return Verdict(results=results, differences={})
            references = self._references
            if not references:
                raise CheckError("There is nothing that the module could be compared with.")
            if promise.interface.logits is None and self._num_classes is not None:
                references = [one.without_head(self._model) for one in references]
            differences: dict[str, float] = {}
            for mode in subject.modes:
                differences |= parity.compare(subject, mode, references)
            return Verdict(results=results, differences=differences)
