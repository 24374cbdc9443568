"""What the Slim graph gives, run straight from the checkpoint: what modules are compared with."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export import restore
from slimhub.export.kept import keep
from slimhub.export.slim_graph import SlimGraph
from slimhub.models.catalog import Model
from slimhub.signatures import running
from slimhub.signatures.interface import MOVING_AVERAGES

# It moves the moving averages, and only in training: no output may depend on it.
MOMENTUM = 0.5

_SEED = 1
# Batches, and sizes where any is welcome: the default one, a small odd one, and one that is not
# square; or in their place, the smallest that the network runs on.
_BATCHES = ((1, None), (3, (97, 65)), (2, (128, 288)))
_FIXED_BATCHES = ((1, None), (3, None))

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What the Slim graph of one mode gives for a batch of images.

    Attributes:
      images: float32 `[batch, height, width, 3]`, in [0, 1].
      tensors: feature vector, end points, logits and predictions, by the names of their tensors.
      losses: regularization losses, scalars by the names of their tensors, in their order.
      averages: moving averages by name, after an update with `MOMENTUM`; at inference, as they are
        in the checkpoint.
      noise: the random numbers that were drawn, by the names of their tensors.
    """

    images: np.ndarray
    tensors: Arrays
    losses: Arrays
    averages: Arrays
    noise: Arrays

    def without_head(self, model: Model) -> "Reference":
        """What the same network gives without its classification layer and the dropout before it."""
        head = f"{model.scope}/{model.head}/"
        losses = {name: loss for name, loss in self.losses.items() if not name.startswith(head)}
        noise = self.noise
        if model.dropout is not None:
            own = f"{model.scope}/{model.dropout}/"
            noise = {name: drawn for name, drawn in noise.items() if not name.startswith(own)}
        return dataclasses.replace(self, losses=losses, noise=noise)


def run(
    model: Model,
    built: SlimGraph,
    *,
    checkpoint: Path,
    into: Path,
    names: Mapping[str, str] | None = None,
) -> list[Reference]:
    """Runs a Slim graph on noise of several batch and image sizes.

    Args:
      model: whose graph it is.
      built: its graph, of either mode.
      checkpoint: what `tf.compat.v1.train.Saver` restores it from.
      into: a directory for what it gives, which can be large.
      names: under which it has what each variable is restored from; None: their own.

    Returns:
      What it gives for each batch, always with the moving averages of the checkpoint.

    Raises:
      SourceError: the checkpoint can't be restored.
      OSError: the directory can't be written.
      tf.errors.OpError: the graph can't be run.
    """
    network = built.network
    averages = {
        variable.op.name: variable
        for variable in network.variables
        if variable.op.name.endswith(MOVING_AVERAGES)
    }
    batches = _batches(model, any_size=None in built.images.shape[1:3].as_list())
    feeds = {} if built.momentum is None else {built.momentum: MOMENTUM}
    fetches = (
        {tensor.name: tensor for tensor in network.outputs},
        {loss.name: loss for loss in network.regularization_losses},
        {tensor.name: tensor for tensor in built.draws},
        network.update_ops,
    )
    references = []
    with _session(built, names or {}) as (session, restore_from):
        restore_from(checkpoint, network.variables)
        for index, images in enumerate(batches):
            if index and averages:
                # Nothing else has moved.
                restore_from(checkpoint, averages.values())
            tensors, losses, noise, _ = session.run(fetches, {**feeds, built.images: images})
            references.append(
                Reference(
                    images=images,
                    tensors=keep(tensors, into=into / str(index)),
                    losses=losses,
                    averages=session.run(averages),
                    noise=noise,
                )
            )
    return references


@contextlib.contextmanager
def _session(built: SlimGraph, names: Mapping[str, str]):
    """A session on the graph, and a function that restores variables of a checkpoint into it."""
    # Not as the default graph: the module beside it may run eagerly.
    with contextlib.closing(running.session(built.graph)) as session:

        def restore_from(checkpoint: Path, variables: Iterable[tf.Variable]) -> None:
            with built.graph.as_default(), restore.guarded(checkpoint):
                stored = {names.get(one.op.name, one.op.name): one for one in variables}
                tf.compat.v1.train.Saver(stored).restore(session, str(checkpoint))

        yield session, restore_from


def _batches(model: Model, *, any_size: bool) -> Iterator[np.ndarray]:
    random = np.random.RandomState(_SEED)
    for batch, size in _BATCHES if any_size else _FIXED_BATCHES:
        height, width = map(max, size or model.image_size, model.min_image_size)
        yield random.uniform(size=(batch, height, width, 3)).astype(np.float32)
