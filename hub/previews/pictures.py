"""Pictures of arrays: filters in their colours, activations in grey.

Whatever is not finite is magenta. The space between tiles is transparent, for light and dark pages.
"""

import math

import numpy as np
from PIL import Image

NOT_FINITE = (255, 0, 255)
# Height and width of the tile of a channel, in pixels.
TILE = 96
# Channels of a feature map that have a tile, after that of their mean.
MOST_CHANNELS = 7


def filters(kernel: np.ndarray) -> Image.Image:
    """Return the filters of the first convolution in a square, a pixel for each position.

    Each filter is divided by its largest magnitude: grey is 0, and its colours can be compared.

    Args:
      kernel: `[height, width, 3, filters]`.
    """
    weights = np.moveaxis(kernel, -1, 0).astype(np.float64)
    magnitudes = np.where(np.isfinite(weights), abs(weights), 0).max(axis=(1, 2, 3), keepdims=True)
    return _grid(0.5 + weights / (2 * np.where(magnitudes == 0, 1, magnitudes)), gap=1)


def activation(values: np.ndarray) -> Image.Image:
    """Return what an end point gives: dark is low, bright is high, each tile in its own range.

    A feature map is a row of tiles: the mean over its channels, then the channels that vary most.
    A feature vector is one tile, in which each channel is a square.

    Args:
      values: `[height, width, channels]`.
    """
    values = values.astype(np.float64)
    if values.shape[:2] == (1, 1):
        cells = _grid(_grey(values).reshape(-1, 1, 1, 3), gap=0)
        return cells.resize((TILE, TILE), Image.Resampling.NEAREST)
    # Of infinities of both signs there is no mean.
    with np.errstate(invalid="ignore"):
        mean, deviations = values.mean(axis=-1), values.std(axis=(0, 1))
    # Channels that are not finite come first: they must be seen.
    order = np.argsort(-np.nan_to_num(deviations, nan=np.inf), kind="stable")[:MOST_CHANNELS]
    maps = (mean, *np.moveaxis(values[..., order], -1, 0))
    return _grid(np.stack([_grey(_resized(one)) for one in maps]), gap=4, in_row=True)


def _resized(values: np.ndarray) -> np.ndarray:
    """Return a map in the size of a tile: larger ones averaged, of smaller ones each value visible."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((TILE, TILE), Image.Resampling.BOX), np.float64)


def _grey(values: np.ndarray) -> np.ndarray:
    """Return RGB `[*values.shape, 3]` from 0, the lowest finite value, to 1, the highest."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    return np.repeat((values[..., np.newaxis] - low) / ((high - low) or 1), 3, axis=-1)


def _grid(tiles: np.ndarray, *, gap: int, in_row: bool = False) -> Image.Image:
    """Return RGB tiles in [0, 1], `[tiles, height, width, 3]`, row by row in a square, or in one row."""
    finite = np.isfinite(tiles).all(axis=-1, keepdims=True)
    colours = np.where(finite, np.round(255 * tiles), NOT_FINITE).astype(np.uint8)
    count, height, width, _ = tiles.shape
    side = math.isqrt(count - 1) + 1
    columns, rows = (count, 1) if in_row else (side, side)
    grid = Image.new("RGBA", (columns * (width + gap) - gap, rows * (height + gap) - gap))
    for index, tile in enumerate(colours):
        at = index % columns * (width + gap), index // columns * (height + gap)
        grid.paste(Image.fromarray(tile), at)
    return grid
