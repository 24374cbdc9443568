"""The checks as a call: in a new process, so that nothing in a module concerns the caller."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from slimhub.signatures.checks import report
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.checks.report import Report

# Unlike with `-m`, nothing is imported from the current directory, which may be the module.
_PROGRAM = (
    "import sys; sys.path[:] = filter(None, sys.path)\n"
    "from slimhub.signatures.__main__ import run; run()"
)
_EXCEPTIONS = {2: ValueError, 5: OSError}


def check(
    module: str | os.PathLike[str],
    *,
    like: str | None = None,
    contract: str | os.PathLike[str] | None = None,
    classes: int | None = None,
    expected_failures: Mapping[str, str] | None = None,
    timeout: int = 600,
) -> Report:
    """Check a module, as `slimhub-check` does. The calling program neither needs nor loads TensorFlow.

    Args:
      module: a directory or an archive, which may hold anything.
      like: the handle that it is to be a drop-in for, such as
        `google/imagenet/inception_v1/classification/3`, or `image_feature_vector` or
        `image_classification`; None for what its own provenance says that it is.
      contract: path of the file of a network (JSON); None for the one that belongs to the handle.
      classes: number of classes that it is to have; None for that of its own class names or, without
        any, the network's.
      expected_failures: the ids of checks that are known to fail, and why.
      timeout: seconds that the checks may take at most.

    Raises:
      ValueError: the arguments make no sense: an unknown handle, or no check has such an id.
      OSError: the file of the network can't be read, or there is no temporary directory to unpack an
        archive into.
    """
    path = None if contract is None else Path(contract).absolute()
    expectation = Expectation(like=like, contract=path, classes=classes)
    reasons = expected_failures or {}
    report.require_known(reasons)
    command = [sys.executable, "-c", _PROGRAM, "--json", f"--timeout={timeout}"]
    done = subprocess.run(
        [*command, *flags(expectation), "--", os.fspath(module)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        # What the caller can import, that process can.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if not done.stdout:
        raise _EXCEPTIONS.get(done.returncode, RuntimeError)(done.stderr.strip())
    [record] = json.loads(done.stdout)
    return report.expecting(report.from_json(record), reasons)


def flags(expectation: Expectation) -> Iterator[str]:
    """Yield the flags of `slimhub-check` for what a module is held to."""
    for name, value in dataclasses.asdict(expectation).items():
        if value is not None:
            yield f"--{name}={value}"
