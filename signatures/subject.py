"""What a check is given: a module, what it promises, and its graphs in sessions."""

import contextlib
from collections.abc import Iterator

from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures import contract
from slimhub.signatures import running as in_session
from slimhub.signatures.module import Module


class Subject:
    """A module under check; close it after use.

    Attributes:
      module: the directory.
      promise: what it is held to.
    """

    def __init__(self, module: Module, promise: contract.Promise):
        self.module = module
        self.promise = promise
        self._running: dict[tuple[str, ...], in_session.RunningGraph] = {}
        self._sessions = contextlib.ExitStack()

    def tagged(self) -> Iterator[tuple[str, contract.TagSet, meta_graph_pb2.MetaGraphDef]]:
        """Label, promise and meta graph of each tag set that was both promised and found."""
        meta_graphs = self.module.meta_graphs
        for tag_set in self.promise.tag_sets:
            if tag_set.tags in meta_graphs:
                yield tag_set.label, tag_set, meta_graphs[tag_set.tags]

    def running(self) -> Iterator[tuple[str, contract.TagSet, in_session.RunningGraph]]:
        """Label, promise and running graph of each promised tag set."""
        for tag_set in self.promise.tag_sets:
            yield tag_set.label, tag_set, self.load(tag_set.tags)

    def load(self, tags: tuple[str, ...]) -> in_session.RunningGraph:
        """The meta graph with these tags in a session, the same one whenever it is asked for.

        Raises: whatever TensorFlow raises for a graph that it can't load.
        """
        if tags not in self._running:
            load = in_session.load(self.module.directory, tags=tags)
            self._running[tags] = self._sessions.enter_context(load)
        return self._running[tags]

    def close(self) -> None:
        self._sessions.close()
