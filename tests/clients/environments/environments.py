"""The environments of other programs: made once, from the pinned versions in `environments.cfg`.

They lie in the user's cache, so that another version is another environment.
"""

import configparser
import dataclasses
import functools
import os
import shutil
import subprocess
from pathlib import Path

from clients.environments import cache

PINS = Path(__file__).with_name("environments.cfg")


class MissingInterpreterError(Exception):
    """No CPython of the version that an environment needs was found; says where it was looked for."""


class BrokenEnvironmentError(Exception):
    """An environment could not be installed; ends with what pip, or npm, said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment that a consumer is installed in.

    Attributes:
      name: its section in `environments.cfg`.
      interpreter: version of CPython, as `3.7`.
      packages: requirements with exact versions.
      npm: packages for JavaScript, which come with a `node` among the requirements.
    """

    name: str
    interpreter: str
    packages: tuple[str, ...]
    npm: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """Where it is, or will be."""
        content = "\n".join([self.interpreter, *self.packages, *self.npm])
        return cache.directory("environments", self.name, content=content)

    @property
    def bin(self) -> Path:
        """The folder of its commands."""
        return self.directory / "bin"

    def pinned(self, package: str) -> str:
        """The version of a package."""
        return dict(requirement.split(" == ") for requirement in self.packages)[package]

    def python(self) -> Path:
        """Its interpreter. Makes the environment if it is not there, which may take minutes.

        Raises:
          MissingInterpreterError: there is no CPython of its version.
          BrokenEnvironmentError: pip or npm failed.
        """
        if not self.directory.exists():
            # Before another version of the environment makes way.
            interpreter(self.interpreter)
        cache.make_once(self.directory, self._install)
        return self.bin / "python"

    def _install(self) -> None:
        _run(interpreter(self.interpreter), "-m", "venv", self.directory)
        _run(self.bin / "python", "-m", "pip", "install", *_PIP_FLAGS, *self.packages)
        if self.npm:
            npm = (self.bin / "npm", "install", "--prefix", self.directory, "--ignore-scripts")
            _run(*npm, *self.npm)


_PIP_FLAGS = ("--quiet", "--disable-pip-version-check")


@functools.cache
def environments() -> dict[str, Environment]:
    """All environments by name, in the order of the file."""
    parser = configparser.ConfigParser()
    parser.read_string(PINS.read_text())
    return {
        name: Environment(
            name=name,
            interpreter=parser[name]["python"],
            packages=tuple(parser[name]["packages"].split("\n")[1:]),
            npm=tuple(parser[name].get("npm", "").split("\n")[1:]),
        )
        for name in parser.sections()
    }


def interpreter(version: str) -> Path:
    """A CPython of that version: from PATH, pyenv, or uv.

    Raises:
      MissingInterpreterError: none of these has one.
    """
    name = f"python{version}"
    candidates = [Path(folder) / name for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))
    if uv := shutil.which("uv"):
        found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True)
        candidates += [Path(line) for line in found.stdout.splitlines()]
    for candidate in candidates:
        if candidate.exists() and _works(candidate, version):
            return candidate
    raise MissingInterpreterError(f"there is no {name} on PATH, in pyenv or in uv")


def _works(candidate: Path, version: str) -> bool:
    """Whether it is what its name says, and can make environments; pyenv's shims may be empty."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == version


def _run(*command) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise BrokenEnvironmentError(f"{command[0]}: {done.stderr[-2000:] or done.stdout[-2000:]}")
