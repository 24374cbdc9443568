"""Directories that are hostile in their files: what is there, what it is called, what it holds."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile import Hostile

from slimhub.signatures import formats

MODEL, INDEX = "saved_model.pb", "variables/variables.index"
DATA, PROVENANCE = "variables/variables.data-00000-of-00001", formats.PROVENANCE
ESCAPE = "\x1b]0;title\x07\x1b[31m"


def in_place(name: str, make: Callable[[Path], None]):
    """Something else where a file was."""

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
    for kind, make in NO_FILES.items():
        for name in (MODEL, INDEX, DATA, PROVENANCE, formats.FORMAT_MARKER):
            id = f"{kind}_as_{Path(name).name}"
            yield Hostile(id=id, change=in_place(name, make), says=f"{name} {NEITHER}")
        for name in ("extra", "variables/extra"):
            id = f"{kind}_{name.replace('/', '_')}"
            yield Hostile(id=id, change=in_place(name, make), says=f"{name} {NEITHER}")
    yield Hostile(
        id="links_to_directories",
        change=lambda directory, good: (
            shutil.rmtree(directory / "variables"),
            (directory / "variables").symlink_to(good / "variables"),
        ),
        says=f"variables {NEITHER}",
    )
    for name in (MODEL, INDEX, PROVENANCE):
        where = {MODEL: "it has no saved_model.pb", INDEX: "it has no variables.index"}
        yield Hostile(
            id=f"directory_as_{Path(name).name}",
            change=in_place(name, Path.mkdir),
            says=where.get(name, f"there is no {PROVENANCE}"),
        )


def _named() -> Iterator[Hostile]:
    names = {"escape": ESCAPE, "newline": "a\nb", "bytes": "a\udcffb", "right_to_left": "a\u202eb"}
    for id, name in names.items():
        yield Hostile(
            id=f"named_{id}",
            change=lambda directory, good, name=name: (directory / name).touch(),
            check="files",
            says=f"file not expected: {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in name)}",
        )
    yield Hostile(
        id="many_files",
        change=lambda directory, good: [(directory / str(i)).touch() for i in range(300)],
        says="holds more than 100 files",
    )
    yield Hostile(
        id="deep",
        change=_deep,
        says="holds more than 100 files",
    )
    for name in ("saved_model.pbtxt", "saved_model.cpb", "variables/checkpoint"):
        yield Hostile(
            id=f"beside_{Path(name).name}",
            change=in_place(name, lambda path: path.write_text("x")),
            check="files",
            says=f"file not expected: {name}",
        )
    yield Hostile(
        id="checkpoint_elsewhere",
        change=_checkpoint_elsewhere,
        says="variables/ is no checkpoint: it has no variables.index",
    )


def _checkpoint_elsewhere(directory: Path, good: Path) -> None:
    """TensorFlow takes a directory for that of the checkpoint which a file in it names."""
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
