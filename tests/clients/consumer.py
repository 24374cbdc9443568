"""Runs a consumer's program, or a command that it comes with, in the consumer's own environment."""

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from clients.environments.environments import Environment

PROGRAMS = Path(__file__).with_name("programs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The answer of a program.

    Attributes:
      module: version of the module that it was given; None without one.
      facts: of `result.json`; `version` is that of the consumer, in words.
      arrays: of `result.npz`, by name.
    """

    module: int | None
    facts: Mapping
    arrays: Mapping[str, np.ndarray]


def run(
    environment: Environment,
    program: str,
    *,
    module: Path | None = None,
    images: Mapping[str, np.ndarray],
    directory: Path,
    timeout: float = 300,
    handle: str | None = None,
    **job,
) -> Result:
    """Runs `programs/<program>.py` to its end.

    Args:
      environment: where it runs.
      program: its name.
      module: directory of the module, the job's `module`; None for a program that needs none.
      images: by name; written to `images.npz`.
      directory: an empty one, which is removed if all is well: arrays may be large.
      timeout: seconds after which the program is killed.
      handle: the job's `handle`, for the library tensorflow-hub: a URL, or by default the directory.
      **job: the rest of the job, what JSON can tell.
    """
    (directory / "job.json").write_text(
        json.dumps({"module": str(module), "handle": handle or str(module), **job})
    )
    np.savez(directory / "images.npz", **images)
    command(environment, "python", PROGRAMS / f"{program}.py", directory, timeout=timeout)
    facts = json.loads((directory / "result.json").read_text())
    with np.load(directory / "result.npz") as arrays:
        version = None if module is None else int(module.name)
        result = Result(module=version, facts=facts, arrays=dict(arrays))
    shutil.rmtree(directory)
    return result


def command(
    environment: Environment, name: str, *arguments, cwd: Path | None = None, timeout: float = 300
) -> str:
    """Runs a command of the environment's, which is made if it is not there; gives what it prints.

    It must exit with 0.
    """
    environment.python()
    # Where programs find `job`; nothing of this process.
    variables = {**os.environ, "PYTHONPATH": str(PROGRAMS), "TF_CPP_MIN_LOG_LEVEL": "3"}
    # TensorFlow 2 sets it when it is imported, and TensorFlow 1 would behave as TensorFlow 2.
    variables.pop("TF2_BEHAVIOR", None)
    done = subprocess.run(
        [str(part) for part in (environment.bin / name, *arguments)],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{name} in {environment.name}: {done.stderr[-5000:]}"
    return done.stdout
