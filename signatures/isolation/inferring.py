"""Infer the contract of the network in a stranger's module: in a process of its own, and after a look at it."""

import functools
import os
from pathlib import Path

from slimhub.signatures.checks.report import OnResult
from slimhub.signatures.checks.safety.harmless import harmless
from slimhub.signatures.graphs import infer
from slimhub.signatures.graphs.infer import Inferred
from slimhub.signatures.isolation import isolated
from slimhub.signatures.isolation.archived import Archived
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support import temporary

# An error names this many harmful things, and counts the rest.
_MOST_PROBLEMS = 10


def infer_contract(
    module: Path, *, timeout: int, image_size: tuple[int, int] | None, task: str | None
) -> Inferred:
    """Infer the contract of a directory from anywhere, or of an archive; see `infer.infer`.

    Args:
      module: may be anything; a file is taken for an archive, which is unpacked for that.
      timeout: seconds until the process is ended.
      image_size, task: as for `infer.infer`.

    Raises:
      UnreadableError: it has no contract that can be inferred, or what it would run may do harm.
      OSError: there is no temporary directory to unpack an archive into.
    """
    infer = functools.partial(_infer, image_size=image_size, task=task)
    # Unlike `Path.is_file`, it takes any name.
    if not os.path.isfile(module):
        return isolated.run(infer, module, timeout=timeout)
    with temporary.temporary() as into:
        try:
            return isolated.run(functools.partial(infer, into=into), module, timeout=timeout)
        except UnreadableError as error:
            raise UnreadableError(str(error).replace(str(into), str(module))) from error


def _infer(
    path: Path,
    *,
    image_size: tuple[int, int] | None,
    task: str | None,
    into: Path | None = None,
    on_result: OnResult,
) -> Inferred:
    del on_result
    module = Module(path) if into is None else Archived(path, into=into)
    # Variables that are smaller on disk than they claim would take any memory.
    _ = module.variables
    problems = [
        f"{{{', '.join(meta_graph.meta_info_def.tags)}}} {problem}"
        for meta_graph in module.saved_model.meta_graphs
        for problem in harmless(meta_graph)
    ]
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        problems[_MOST_PROBLEMS:] = [f"and {more} more"] if more > 0 else []
        raise UnreadableError("\n  ".join(["it may do harm, and was not run:", *problems]))
    return infer.infer(module, image_size=image_size, task=task)
