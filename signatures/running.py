"""Runs a module as TF1 does: a meta graph of it in a session, its variables restored."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

# Of an error in a session: what went wrong, between two stack traces.
_REASON = re.compile(r"^Node: [^\n]*\n(.+?)(?=\n\t \[\[|\n\nOriginal stack trace|\Z)", re.M | re.S)


class RunningGraph:
    """A meta graph in a session.

    Attributes:
      graph: the graph.
      session: a session on it.
      meta_graph: what was loaded.
    """

    def __init__(self, session: tf.compat.v1.Session, meta_graph):
        self.session = session
        self.graph = session.graph
        self.meta_graph = meta_graph

    def run(
        self, images: np.ndarray, *, extra_feeds: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, dict[str, np.ndarray]]:
        """Applies all signatures at once, which share one network.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].
          extra_feeds: arrays by tensor name.

        Returns:
          Arrays by signature and output key.
        """
        signatures = self.meta_graph.signature_def
        feeds = {signatures[name].inputs["images"].name: images for name in signatures}
        fetches = {
            name: {key: info.name for key, info in signatures[name].outputs.items()}
            for name in sorted(signatures)
        }
        return self.session.run(fetches, {**feeds, **(extra_feeds or {})})

    def collection(self, name: str) -> list:
        """The graph's collection of that name, as imported."""
        return self.graph.get_collection(name)


@contextlib.contextmanager
def load(directory: Path, *, tags: tuple[str, ...]) -> Iterator[RunningGraph]:
    """Loads the meta graph with exactly these tags."""
    # Closed, not entered: its graph must not become the default one.
    with contextlib.closing(tf.compat.v1.Session(graph=tf.Graph())) as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, list(tags), str(directory))
        yield RunningGraph(session, meta_graph)


def describe(error: Exception) -> str:
    """An error in one line, without the stack traces that TensorFlow's messages carry."""
    found = _REASON.search(str(error))
    reason = found[1] if found else str(error)
    return f"{type(error).__name__}: {' '.join(reason.split())}"
