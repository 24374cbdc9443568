"""Class names as people have them, in the file of `--labels`, and what modules say of them.

Knows nothing of TensorFlow, which takes seconds to import.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from slimhub.export.errors import UsageError
from slimhub.models.model import Model
from slimhub.signatures.module import class_names


def read(path: str) -> tuple[str, ...]:
    """Read the names in a file, and return them in the order of the classes.

    Each has a line; or as Slim writes them, each line with the number of its class before it: `0:daisy`. A
    byte order mark, ends of lines as on Windows and blanks around names are left out.

    Raises:
      UsageError: it can't be read, or is no such file; it names the lines that are wrong.
    """
    try:
        # Opening anything else, such as a pipe, may never end.
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no file")
        if found.st_size > class_names.MOST_BYTES:
            raise ValueError(f"it has more than {class_names.MOST_BYTES} bytes")
        content = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
        return _in_order([line.strip() for line in class_names.parse(content)])
    except OSError as error:
        raise UsageError(f"--labels={path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(
            f"--labels={path} can't be used: {error}. Expected UTF-8 with a class a line, "
            "`daisy`, or in all of them `0:daisy`."
        ) from error


def _in_order(lines: list[str]) -> tuple[str, ...]:
    matches = [re.fullmatch(r"([0-9]{1,9}):\s*(.*)", line) for line in lines]
    if not any(matches):
        return tuple(lines)
    names: dict[int, str] = {}
    class_names.refuse(list(_misnumbered(matches, names)))
    return tuple(names[index] for index in range(len(lines)))


def _misnumbered(matches: list[re.Match | None], names: dict[int, str]) -> Iterator[str]:
    """Fill `names`, by number, and yield what is wrong."""
    lines: dict[int, int] = {}
    for number, match in enumerate(matches, 1):
        if match is None:
            yield f"line {number}: no number, which other lines have"
            continue
        index, name = int(match[1]), match[2]
        if not name:
            yield f"line {number}: no name behind {index}"
        if index in lines:
            yield f"line {number}: {index} stands in line {lines[index]} already"
        elif index >= len(matches):
            yield f"line {number}: {index}, of {len(matches)} classes"
        lines.setdefault(index, number)
        names[index] = name
    missing = [str(index) for index in range(len(matches)) if index not in lines]
    if missing:
        yield f"there is no line of {', '.join(missing[:8])}{' ...' if missing[8:] else ''}"


def check_number(
    names: Sequence[str], *, model: Model, checkpoint: str, num_classes: int | None
) -> None:
    """Raise `UsageError` unless there are as many names as classes in the checkpoint's head, if any."""
    # A missing head is reported elsewhere: feature vectors need none.
    if num_classes in (None, len(names)):
        return
    hint = ""
    if len(names) == num_classes - 1:
        hint = " Does the first one, the background class of many of Slim's data sets, lack a line?"
    elif len(names) == num_classes + 1:
        hint = " Is one of the lines for a background class, which this checkpoint does not have?"
    raise UsageError(
        f"--labels names {len(names)} classes, and {checkpoint} has {num_classes}: expected a line for "
        f"each class of the head, {model.scope}/{model.head}.{hint}"
    )


def describe(
    model: Model, *, num_classes: int | None, file: str | None, published: bool
) -> str | None:
    """Return which class is which, as the provenance says it; None if nobody knows.

    Args:
      model: the network.
      num_classes: number of the module's classes; None if it has none.
      file: path of the file in the module that names the classes; None if there is none.
      published: whether the weights are known to be the published ones.
    """
    if file is not None:
        return f"Those that {file} names, a line each, from class 0 on."
    if num_classes != model.num_classes:
        return None
    return model.labels if published else f"Those of the published weights. {model.labels}"
