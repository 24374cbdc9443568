"""Checkpoints, modules and programs that the measurements need, each made when it is first asked for."""

import contextlib
import functools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from clients.environments import environments

from benchmarks import processes

PROGRAMS = Path(__file__).with_name("programs")
PEER = "tf-1.15"
MODELS = ("inception_v1", "inception_v2")
TASKS = ("classification", "feature_vector")
# Of measurements that are of one module.
MODEL, TASK = "inception_v2", "classification"


class Workshop:
    """A directory to work in, empty at first.

    Attributes:
      directory: its path.
      peers: environments of peers by name, which have been installed.
      missing: names of those that can't be installed here, and why.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.peers: dict[str, environments.Environment] = {}
        self.missing: dict[str, str] = {}
        shutil.rmtree(directory, ignore_errors=True)
        self._checkpoints = directory / "checkpoints"
        self._checkpoints.mkdir(parents=True)

    def install(self, name: str) -> None:
        """Install the environment of a peer if it is not there, which takes minutes."""
        environment = environments.environments()[name]
        try:
            environment.python()
        except (environments.MissingInterpreterError, environments.BrokenEnvironmentError) as error:
            self.missing[name] = str(error)
        else:
            self.peers[name] = environment

    def checkpoint(self, model: str = MODEL) -> Path:
        """Return the V1 file of a model."""
        path = self._checkpoints / f"{model}.ckpt"
        if not path.exists():
            processes.run(*self.program("make_checkpoint"), model, path)
        return path

    def module(self, version: int, task: str = TASK) -> Path:
        """Return the directory of a module of ours."""
        root = self.directory / "modules"
        path = root / "google" / "imagenet" / MODEL / task / str(version)
        if not path.exists():
            processes.run(*self.export(root, version=version, tasks=(task,)))
        return path

    @functools.cached_property
    def peer_module(self) -> Path:
        """The directory of the one module of version 3, which the peer exported."""
        root = self.directory / "peer"
        processes.run(*self.peer_export(root))
        return root / MODEL / TASK / "3"

    def export(self, output: Path, *, version=3, models=(MODEL,), tasks=(TASK,)) -> list:
        """Return our command line that exports the modules of all models and tasks."""
        for model in models:
            self.checkpoint(model)
        return [
            *(sys.executable, "-m", "slimhub.export", "--json", f"--version={version}"),
            *(f"--model={model}" for model in models),
            *(f"--task={task}" for task in tasks),
            *(f"--checkpoint={self._checkpoints}", f"--output={output}"),
        ]

    def peer_export(self, output: Path, *, models=(MODEL,), tasks=(TASK,)) -> list:
        """Return the peer's command line that exports the same."""
        for model in models:
            self.checkpoint(model)
        modules = [f"{model}/{task}" for model in models for task in tasks]
        return [*self.program("peer_export", PEER), self._checkpoints, output, *modules]

    def copy_weights(self, output: Path) -> list:
        """Return the command line that merely reads a checkpoint and writes its variables."""
        return [*self.program("copy_weights"), self.checkpoint(), output / "variables"]

    def program(self, name: str, peer: str | None = None) -> list:
        """Return the begin of a command line that runs a program, here or in a peer's environment."""
        python = sys.executable if peer is None else self.peers[peer].python()
        return [python, PROGRAMS / f"{name}.py"]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory, for as long."""
        path = self.directory / "scratch"
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path)
