"""What a check is given: a module, what it promises, and its graphs in sessions."""

import contextlib
from collections.abc import Iterator

from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures import contract, running
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
        self._running: dict[tuple[str, ...], running.RunningGraph] = {}
        self._sessions = contextlib.ExitStack()

    def tagged(self) -> Iterator[tuple[str, contract.TagSet, meta_graph_pb2.MetaGraphDef]]:
        """Label, promise and meta graph of each tag set that was both promised and found."""
        meta_graphs = self.module.meta_graphs
        for tag_set in self.promise.tag_sets:
            if tag_set.tags in meta_graphs:
                yield f"{{{', '.join(tag_set.tags)}}}", tag_set, meta_graphs[tag_set.tags]

    def running(self) -> Iterator[tuple[str, contract.TagSet, running.RunningGraph]]:
        """As `tagged`, each loaded into a session, once."""
        for label, tag_set, _ in self.tagged():
            if tag_set.tags not in self._running:
                load = running.load(self.module.directory, tags=tag_set.tags)
                self._running[tag_set.tags] = self._sessions.enter_context(load)
            yield label, tag_set, self._running[tag_set.tags]

    def close(self) -> None:
        self._sessions.close()
