"""The check that must have passed before any graph of a module is run. Yields one line a problem.

An operation may read or write any file, or run any program. So each one must be known, and those
that write or read the variables must be out of reach of everything but the saver.
"""

import collections
from collections.abc import Iterator

from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.safety import saved_objects, structure
from slimhub.signatures.checks.safety.harmless import harmless
from slimhub.signatures.contract import contract

Problems = Iterator[str]


def operations(subject: ModuleUnderTest) -> Problems:
    """Look for operations, functions and objects beyond those of an image network, or for harmful ones."""
    if subject.level == contract.EXACT:
        for label, modes, meta_graph in subject.meta_graphs():
            found = _unpromised(meta_graph, subject.promise, modes[0].tags)
            yield from (f"{label} {problem}" for problem in found)
    else:
        # All of the file: whichever it is, nobody should load what does harm.
        for meta_graph in subject.module.saved_model.meta_graphs:
            label = f"{{{', '.join(meta_graph.meta_info_def.tags)}}}"
            yield from (f"{label} {problem}" for problem in harmless(meta_graph))


def _unpromised(
    meta_graph: meta_graph_pb2.MetaGraphDef, promise: contract.Contract, tags: tuple[str, ...]
) -> Problems:
    """Name what the format of slimhub's own modules doesn't have."""
    allowed = promise.format.operations[tags]
    parts = list(structure.parts(meta_graph))
    for part in parts:
        # A graph itself has none of the saver's: only functions do.
        extra = promise.format.saver_operations.get(part.saver) if part.function else None
        found = collections.Counter(node.op for node in part.nodes)
        for op in sorted(set(found) - allowed - (extra or frozenset())):
            yield f"has {found[op]} of the operation {op}{part.where}"
    yield from structure.faults(meta_graph, parts)
    objects = saved_objects.WITH_ASSETS if promise.assets else saved_objects.OWN
    yield from saved_objects.foreign(meta_graph, objects)
