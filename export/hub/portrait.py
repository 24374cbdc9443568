"""Draws the portrait of a module: its first filters, and what it sees in a picture.

Usage: python -m slimhub.export.hub.portrait DIRECTORY INTO

Trained filters show edges and colours, untrained ones noise: there is no quicker look at whether a
checkpoint was restored. INTO is an empty directory. It gets pictures (PNG), and, last of all,
portrait.json, which tells what they show. The same module gives the same bytes.

The module may be a stranger's: it is run in a process of its own, with bounded time and memory,
after the checks of its graphs have passed.

Exits with 0 if it was drawn, 1 if it can't be, 2 for usage, 5 if INTO can't be written.
"""

import dataclasses
import json
import os
from pathlib import Path

from slimhub.signatures import command_line, records
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.printable import printable

# The file that is written last.
RECORD = "portrait.json"

# Seconds; on one core, a module of Inception V2 takes ten.
_TIMEOUT = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """The filters of the first convolution, side by side, a pixel for each position of a kernel.

    Attributes:
      variable: the kernel on disk; of a separable convolution, the depthwise one.
      shape: `[height, width, 3, filters]`; of a separable convolution, that of the product.
      picture: name of the file, RGBA.
    """

    variable: str
    shape: tuple[int, int, int, int]
    picture: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndPoint:
    """What comes out at an end point for the picture.

    Attributes:
      key: among the outputs of the signature.
      shape: `[1, height, width, channels]`.
      picture: name of the file, RGBA: tiles side by side, the mean of all channels first, then the
        channels that vary most; of a map of one position, one tile of all channels. None if it is not
        drawn, as of networks with many end points not all are.
    """

    key: str
    shape: tuple[int, int, int, int]
    picture: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portrait:
    """What was drawn of a module.

    Attributes:
      image_size: height and width of the picture that the module was given, its default.
      picture: name of the file of that, RGB.
      filters: of the first convolution.
      end_points: in the network's order.
    """

    image_size: tuple[int, int]
    picture: str
    filters: Filters
    end_points: tuple[EndPoint, ...]

    @property
    def drawn(self) -> tuple[EndPoint, ...]:
        """The end points that have pictures."""
        return tuple(point for point in self.end_points if point.picture is not None)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of all files that it consists of, but for the record."""
        return (self.picture, self.filters.picture, *(point.picture for point in self.drawn))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def from_json(text: str) -> Portrait:
    """Reads a record. Raises `ValueError` saying what is wrong with it, and where."""
    return records.read(Portrait, json.loads(text))


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        command_line.complain(f"Usage: python -m {__spec__.name} DIRECTORY INTO")
        return command_line.USAGE
    directory, into = map(Path, arguments)
    try:
        _require_empty(into)
        for name, content in _draw(directory).items():
            (into / name).write_bytes(content)
    except UnreadableError as error:
        command_line.complain(f"{printable(str(directory))} can't be drawn: {error}")
        return 1
    except OSError as error:
        command_line.complain(f"{printable(str(into))} can't be written: {error}")
        return command_line.UNWRITABLE
    return 0


def _require_empty(directory: Path) -> None:
    if os.listdir(directory):
        raise OSError("it is not empty")


def _draw(directory: Path) -> dict[str, bytes]:
    # The sums in it, and so the pictures, do not depend on how many cores there are, and the other
    # cores are left to others.
    os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    with command_line.quiet_imports():
        from slimhub.export.hub import draw
        from slimhub.signatures import isolated

    return isolated.run(draw.draw, directory, timeout=_TIMEOUT)


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
