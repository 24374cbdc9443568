"""The Slim graphs of a model, built and restored once for classification and what comes after it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from slimhub.export import extras, half, restore, slim_graph, worker
from slimhub.models.catalog import Model
from slimhub.signatures import contract

Caller = worker.Here | worker.Worker


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """What a module is written from.

    Attributes:
      definitions: of the Slim graph for inference and, by `True`, of that for training.
      weights: float32 arrays by variable name, exactly those of the graphs.
      num_classes: of the logits, if there are any.
    """

    definitions: Mapping[bool, slim_graph.Definition]
    weights: restore.Weights
    num_classes: int | None


class Networks:
    """The Slim graphs of a model; those of a feature vector are the others' without the head."""

    def __init__(
        self,
        model: Model,
        *,
        version: int,
        checkpoint: Path,
        allow_unused: bool,
        moving_averages: bool,
        halves: Mapping[bool, Caller],
        workdir: Path,
    ):
        """Opens the checkpoint. Raises `SourceError`.

        Args:
          model: which network.
          version: whose contract the graphs are built for.
          checkpoint: what they are restored from.
          allow_unused: as for `restore.restore`.
          moving_averages: whether those of variables are restored in place of the variables.
          halves: callers of the `half.Half` for inference and, by `True`, of that for training.
          workdir: a directory for what the graphs give, which need not be there.
        """
        self._workdir = workdir
        self._model, self._version, self._checkpoint = model, version, checkpoint
        self._allow_unused, self._halves = allow_unused, halves
        self._moving_averages = moving_averages
        self._reader = restore.Reader(checkpoint)
        self._restored: Restored | None = None
        self._referred: list[worker.Result] = []

    @property
    def classes_of_head(self) -> int | None:
        """Number of classes in the checkpoint; None if there is no head."""
        return restore.classes_of_head(self._reader, model=self._model)

    def restored(self, task: str) -> Restored:
        """What a module of that task is written from.

        Raises:
          RestoreError, SourceError: the checkpoint is not that of the model, or can't be read.
          CheckError: the other process ended.
        """
        if self._restored is None or task == "classification":
            self._restored = None
            self._restored = self._restore(task)
            self._referred = [
                caller.call(
                    "refer",
                    self._checkpoint,
                    self._names(self._restored.definitions[False]),
                    into=self._workdir / str(training),
                )
                for training, caller in self._halves.items()
            ]
        if task == "classification" or self._restored.num_classes is None:
            return self._restored
        definitions = {
            training: slim_graph.without_head(self._model, definition)
            for training, definition in self._restored.definitions.items()
        }
        names = definitions[False].variables
        return Restored(
            definitions=definitions,
            weights=self._restored.weights.only(names),
            num_classes=None,
        )

    def verify(
        self, directory: Path, promise: contract.Promise, *, compare: bool
    ) -> list[half.Verdict]:
        """As `half.Half.verify`, of a module of this model in each mode.

        Raises:
          SourceError: the checkpoint can't be restored into the Slim graphs.
          CheckError: they can't be run, or the other process ended.
        """
        # Both first: the other process goes on from one to the other.
        verifying = [
            caller.call("verify", directory, promise, compare=compare)
            for caller in self._halves.values()
        ]
        referred, self._referred = self._referred, []
        try:
            for result in referred:
                result()
        except Exception:
            # The next module may not go on from there.
            self._restored = None
            raise
        return [result() for result in verifying]

    def _restore(self, task: str) -> Restored:
        num_classes = None
        if task == "classification":
            num_classes = restore.num_classes(self._reader, model=self._model)
        building = {
            training: caller.call(
                "build", self._model, version=self._version, num_classes=num_classes
            )
            for training, caller in self._halves.items()
        }
        inference = building[False]()
        weights = restore.restore(
            self._reader,
            model=self._model,
            shapes={name: variable.shape for name, variable in inference.variables.items()},
            names=self._names(inference),
            allow_unused=self._allow_unused,
        )
        definitions = {False: inference, True: building[True]()}
        return Restored(definitions=definitions, weights=weights, num_classes=num_classes)

    def _names(self, definition: slim_graph.Definition) -> dict[str, str]:
        """Under which name the checkpoint has what each variable is restored from."""
        if not self._moving_averages:
            return {name: name for name in definition.variables}
        trainable = {name: variable.trainable for name, variable in definition.variables.items()}
        return extras.averages(trainable, stored=self._reader.shapes)
