"""What the measurements need, each made when it is first asked for: checkpoints, modules, programs."""

import contextlib
import functools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from clients import environments

from benchmarks import processes
from benchmarks.errors import MissingPeerError

PROGRAMS = Path(__file__).with_name("programs")
PEER = "tf-1.15"
# Those that exports are compared with the peer's on.
MODELS = ("inception_v1", "inception_v2")
MODULES = tuple(
    f"{model}/{task}" for model in MODELS for task in ("classification", "feature_vector")
)
# The one module of measurements that are of one.
MODULE = "inception_v2/classification"


class Workshop:
    """A directory to work in, empty at first."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.missing: dict[str, str] = {}
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    @functools.cached_property
    def checkpoints(self) -> Path:
        """A directory with a V1 file of each of `MODELS`."""
        path = self.directory / "checkpoints"
        path.mkdir()
        processes.run(*self.program("make_checkpoints"), path, *MODELS)
        return path

    def write_checkpoint(self, model: str) -> None:
        """Writes that of another model beside them."""
        processes.run(*self.program("make_checkpoints"), self.checkpoints, model)

    def checkpoint(self, module: str) -> Path:
        """The V1 file of a module's model."""
        return self.checkpoints / f"{module.split('/')[0]}.ckpt"

    def module(self, version: int, module: str = MODULE) -> Path:
        """The directory of a module of ours."""
        root = self.directory / "modules"
        path = root / "google" / "imagenet" / module / str(version)
        if not path.exists():
            processes.run(*self.export(root, module, version=version))
        return path

    @functools.cached_property
    def peer_module(self) -> Path:
        """The directory of the one module of version 3, which the peer exported."""
        root = self.directory / "peer"
        processes.run(*self.peer_export(root, MODULE))
        return root / MODULE / "3"

    def export(self, output: Path, *modules: str, version: int = 3) -> list:
        """Our command line that exports one module, or all."""
        command = [sys.executable, "-m", "slimhub.export", f"--version={version}", "--json"]
        if modules == MODULES:
            models = [f"--model={model}" for model in MODELS]
            return [*command, *models, f"--checkpoint={self.checkpoints}", f"--output={output}"]
        [module] = modules
        model, task = module.split("/")
        checkpoint = f"--checkpoint={self.checkpoint(module)}"
        return [*command, f"--model={model}", f"--task={task}", checkpoint, f"--output={output}"]

    def peer_export(self, output: Path, *modules: str) -> list:
        """The peer's command line that exports the same."""
        return [*self.program("peer_export", PEER), self.checkpoints, output, *modules]

    def program(self, name: str, environment: str | None = None) -> list:
        """The begin of a command line that runs a program, here or in an environment of its own.

        Raises:
          MissingPeerError: the environment can't be made here.
        """
        python = sys.executable if environment is None else self.python(environment)
        return [python, PROGRAMS / f"{name}.py"]

    def python(self, environment: str) -> Path:
        """The interpreter of an environment, which is made if it is not there.

        Raises:
          MissingPeerError: it can't be made here.
        """
        if environment in self.missing:
            raise MissingPeerError(self.missing[environment])
        try:
            return environments.environments()[environment].python()
        except KeyError:
            reason = f"there is no environment {environment} in environments.cfg"
        except (
            environments.MissingInterpreterError,
            environments.BrokenEnvironmentError,
        ) as error:
            reason = str(error)
        self.missing[environment] = reason
        raise MissingPeerError(reason)

    def remove(self) -> None:
        """Removes the directory; nothing can be asked for after it."""
        shutil.rmtree(self.directory)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory, for as long."""
        path = self.directory / "scratch"
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path)


def answer(run: processes.Run) -> dict:
    """What a program printed as JSON."""
    return json.loads(run.stdout)
