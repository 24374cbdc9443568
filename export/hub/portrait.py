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

from slimhub.signatures import records

# The file that is written last.
RECORD = "portrait.json"


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

    @property
    def layer(self) -> str:
        """As in the keys of end points: `InceptionV2/Conv2d_1a_7x7`."""
        return self.variable.rpartition("/")[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndPoint:
    """What comes out at an end point for the picture.

    Attributes:
      key: among the outputs of the signature.
      shape: `[1, height, width, channels]`.
      picture: name of the file, RGBA: tiles side by side, the mean of all channels first, then the
        channels that vary most; of a map of one position, one tile of all channels.
    """

    key: str
    shape: tuple[int, int, int, int]
    picture: str


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
    def pictures(self) -> tuple[str, ...]:
        """Names of all files that it consists of, but for the record."""
        drawn = (self.filters, *self.end_points)
        return (self.picture, *(one.picture for one in drawn))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def from_json(text: str) -> Portrait:
    """Reads a record. Raises `ValueError` saying what is wrong with it, and where."""
    return records.read(Portrait, json.loads(text))
