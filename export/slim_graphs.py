"""The Slim graphs of a model: built, restored and run once for classification and what comes after it."""

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from slimhub.export.checkpoints import restore, synthetic, training_state
from slimhub.export.checkpoints.resolve import Checkpoint
from slimhub.export.errors import OutputError
from slimhub.export.request import ExportRequest
from slimhub.export.verification import processes
from slimhub.export.verification.reference import Reference, References, run_reference
from slimhub.export.writers import slim_graph
from slimhub.models.model import Model


class SlimGraphs:
    """The Slim graphs of a model; those of a feature vector are the others' without the head."""

    def __init__(
        self,
        request: ExportRequest,
        model: Model,
        checkpoint: Checkpoint,
        *,
        workdir: Path,
        executor: Executor | None,
    ):
        """Open the checkpoint. Raise `SourceError` if it can't be read.

        Args:
          request: which contract, and what of the checkpoint is restored.
          model: which network.
          checkpoint: what it is restored from, an attribute.
          workdir: a directory for what the graphs give.
          executor: the process for training; None for this one, after inference.
        """
        self._request, self._model, self._executor = request, model, executor
        self.checkpoint, self._workdir = checkpoint, workdir
        self._reader = restore.Reader(checkpoint.path)
        # With the head, if classification came first.
        self._started: tuple[slim_graph.Definitions, References] | None = None

    @property
    def classes_of_head(self) -> int | None:
        """Number of classes in the checkpoint; None if there is no head."""
        return restore.classes_of_head(self._reader, model=self._model)

    def restore(self, task: str) -> tuple[slim_graph.RestoredGraphs, References]:
        """Return what a module of that task is written from, and begin to run its graphs.

        Raises:
          RestoreError, SourceError: the checkpoint is not that of the model, or can't be read.
          OutputError: a temporary file can't be written.
          CheckError: the other process ended.
        """
        started = self._started
        if started is None or (task == "classification" and started[0].num_classes is None):
            self._started = None
            restored = self._restore(self._build(task))
            references = self._start(restored)
            self._started = restored.definitions, references
            return restored, references
        definitions, references = started
        if task == "classification" or definitions.num_classes is None:
            return self._restore(definitions), references
        return self._restore(definitions.without_head(self._model)), References(
            inference=lambda: self._without_head(references.inference),
            training=lambda: self._without_head(references.training),
        )

    def _without_head(self, references: Callable[[], list[Reference]]) -> list[Reference]:
        return [reference.without_head(self._model) for reference in references()]

    def _build(self, task: str) -> slim_graph.Definitions:
        num_classes = None
        if task == "classification":
            num_classes = restore.num_classes(self._reader, model=self._model)
        build = functools.partial(
            slim_graph.build_definition,
            self._model,
            version=self._request.contract_version,
            prefix=self._request.handle_prefix,
            num_classes=num_classes,
        )
        training = processes.start(self._executor, build, training=True)
        return slim_graph.Definitions(inference=build(training=False), training=training())

    def _restore(self, definitions: slim_graph.Definitions) -> slim_graph.RestoredGraphs:
        variables, names = definitions.inference.variables, self._names(definitions)
        weights = restore.restore(
            self._reader,
            model=self._model,
            shapes={name: variable.shape for name, variable in variables.items()},
            names=names,
            allow_unused=self._request.allow_unused,
        )
        return slim_graph.RestoredGraphs(
            definitions=definitions,
            weights=weights,
            converted_from=restore.converted_dtypes(self._reader, names.values()),
        )

    def _names(self, definitions: slim_graph.Definitions) -> dict[str, str]:
        """Return the names in the checkpoint of what each variable is restored from."""
        variables = definitions.inference.variables
        if not self._request.moving_averages:
            return {name: name for name in variables}
        trainable = {name: variable.trainable for name, variable in variables.items()}
        return training_state.averages(trainable, stored=self._reader.shapes)

    def _start(self, restored: slim_graph.RestoredGraphs) -> References:
        """Run the graphs: for training now, if there is another process; else when that is asked for."""
        checkpoint, names = self._for_saver(restored)

        def start(executor: Executor | None, definition: slim_graph.Definition, into: str):
            return processes.start(
                executor,
                run_reference,
                self._model,
                definition,
                checkpoint=checkpoint,
                names=names,
                into=self._workdir / into,
            )

        return References(
            inference=start(None, restored.definitions.inference, "inference"),
            training=start(self._executor, restored.definitions.training, "training"),
        )

    def _for_saver(self, restored: slim_graph.RestoredGraphs) -> tuple[Path, Mapping[str, str]]:
        """Return what a Saver restores the Slim graphs from, and the name of each variable in it.

        It is the checkpoint itself, unless its dtypes are others, which a Saver does not convert.
        """
        if not restored.converted_from:
            names = self._names(restored.definitions)
            return self._reader.path, {name: self._reader.key(names[name]) for name in names}
        path = self._workdir / "float32.ckpt"
        try:
            synthetic.write_checkpoint(restored.weights, path)
        except OSError as error:
            raise OutputError(
                f"The checkpoint can't be written as float32 (TMPDIR chooses another place): {error}"
            ) from error
        return path, {name: name for name in restored.weights}
