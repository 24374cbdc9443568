"""Directories with hostile files: special files, names, and contents."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile import Hostile

from slimhub.signatures.contract import formats

MODEL, INDEX = "saved_model.pb", "variables/variables.index"
DATA, PROVENANCE = "variables/variables.data-00000-of-00001", formats.PROVENANCE
ESCAPE = "\x1b]0;title\x07\x1b[31m"


def in_place(name: str, make: Callable[[Path], None]):
    """Return a change that replaces a file by what `make` creates."""

    def change(directory: Path, good: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        make(directory / name)

    return change


def a_socket(path: Path) -> None:
    # Its path may have a hundred bytes only.
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(path.parent):
        listener.bind(path.name)


NO_FILES = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "dangling": lambda path: path.symlink_to("absent"),
    "loop": lambda path: path.symlink_to(path.name),
    "root": lambda path: path.symlink_to("/"),
    "socket": a_socket,
}
NEITHER = "is neither a file nor a directory"


def _special() -> Iterator[Hostile]:
    names = (INDEX, DATA, PROVENANCE, formats.FORMAT_MARKER, "extra", "variables/extra")
    for kind, name in (*((kind, MODEL) for kind in NO_FILES), *(("pipe", name) for name in names)):
        id = f"{kind}_as_{name.replace('/', '_')}"
        yield Hostile(id=id, change=in_place(name, NO_FILES[kind]), says=f"{name} {NEITHER}")
    yield Hostile(
        id="links_to_directories",
        change=lambda directory, good: (
            shutil.rmtree(directory / "variables"),
            (directory / "variables").symlink_to(good / "variables"),
        ),
        says=f"variables {NEITHER}",
    )
    for name, says in (
        (MODEL, "it has no saved_model.pb"),
        (INDEX, "it has no variables.index"),
        (PROVENANCE, f"there is no {PROVENANCE}"),
    ):
        id = f"directory_as_{Path(name).name}"
        yield Hostile(id=id, change=in_place(name, Path.mkdir), says=says)


def _named() -> Iterator[Hostile]:
    for id, name, shown in (
        ("unprintable", f"{ESCAPE}\n\udcff\u202e", r"\x1b]0;title\x07\x1b[31m\n\udcff\u202e"),
        ("another_model", "saved_model.cpb", "saved_model.cpb"),
        ("another_checkpoint", "variables/checkpoint", "variables/checkpoint"),
    ):
        yield Hostile(
            id=id,
            change=in_place(name, Path.touch),
            check="files",
            says=f"file not expected: {shown}",
        )
    yield Hostile(id="deep", change=_deep, says="holds more than 100 files")
    yield Hostile(
        id="checkpoint_elsewhere",
        change=_checkpoint_elsewhere,
        says="variables/ is no checkpoint: it has no variables.index",
    )


def _checkpoint_elsewhere(directory: Path, good: Path) -> None:
    """Replace the index by a directory whose state file names another checkpoint, which TensorFlow would read."""
    (directory / INDEX).unlink()
    (directory / "variables/variables").mkdir()
    path = json.dumps(str(good / "variables/variables"))
    text = f"model_checkpoint_path: {path}\nall_model_checkpoint_paths: {path}\n"
    (directory / "variables/variables/checkpoint").write_text(text)


def _deep(directory: Path, good: Path) -> None:
    for _ in range(300):
        directory /= "d"
        directory.mkdir()


FILES = (*_special(), *_named())
