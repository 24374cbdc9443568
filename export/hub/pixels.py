"""Arrays as pixels: filters, feature maps and feature vectors. Knows nothing of modules and files.

All pictures are uint8 `[height, width, 4]`, RGBA, transparent where there is nothing, so that they
suit light and dark pages. What is not finite is magenta, which the ramp of colours does not have.
"""

import math

import numpy as np

# Height and width of the picture of a map.
TILE = 96
# Pixels between two maps, and between two filters.
TILE_GAP = 4
FILTER_GAP = 1
# Channels of a feature map that are drawn, beside their mean.
CHANNELS = 7

NOT_FINITE = (255, 0, 255, 255)
# From low to high: in equal steps of lightness (CIELAB 8 to 95.5), and so readable without colours.
RAMP = (0x0C1633, 0x213B6E, 0x136C98, 0x33A299, 0x8CD286, 0xF9F6A7)
# An eye hardly tells more apart, and files are smaller with fewer.
_LEVELS = 64


def filters(kernel: np.ndarray) -> np.ndarray:
    """Filters side by side in true colours, as near to a square as they get.

    Each is scaled by its largest magnitude, so that grey is 0 and its colours compare.

    Args:
      kernel: `[height, width, 3, filters]`.
    """
    weights = np.moveaxis(kernel, -1, 0).astype(np.float64)
    finite = np.isfinite(weights)
    weights = np.where(finite, weights, 0)
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    colours = 0.5 + weights / (2 * np.where(largest == 0, 1, largest))
    pictures = np.full((*weights.shape[:3], 4), 255, np.uint8)
    pictures[..., :3] = np.round(255 * colours)
    pictures[~finite.all(axis=-1)] = NOT_FINITE
    return _grid(pictures, gap=FILTER_GAP, columns=_side(len(pictures)))


def feature_map(values: np.ndarray) -> np.ndarray:
    """Maps side by side: the mean of all channels, then those that vary most, each in its own range.

    Args:
      values: `[height, width, channels]`.
    """
    values = values.astype(np.float64)
    chosen = np.moveaxis(values[..., most_varied(values)], -1, 0)
    maps = np.concatenate([_mean(values)[np.newaxis], chosen])
    return _grid(np.stack([_tile(one) for one in maps]), gap=TILE_GAP, columns=len(maps))


def feature_vector(values: np.ndarray) -> np.ndarray:
    """All channels in one tile, row by row, as near to a square as they get.

    Args:
      values: `[channels]`.
    """
    side = _side(len(values))
    cells = np.zeros((side * side, 4), np.uint8)
    cells[: len(values)] = _coloured(values.astype(np.float64))
    return _nearest(cells.reshape(side, side, 4))


def most_varied(values: np.ndarray) -> np.ndarray:
    """Indices of the channels with the largest standard deviations, at most `CHANNELS`, these first.

    One that is not finite comes before all others, as it must be seen.

    Args:
      values: float64 `[height, width, channels]`.
    """
    finite = np.isfinite(values).all(axis=(0, 1))
    deviations = np.where(finite, values, 0).std(axis=(0, 1))
    return np.argsort(-np.where(finite, deviations, np.inf), kind="stable")[:CHANNELS]


def _mean(values: np.ndarray) -> np.ndarray:
    # Of infinities of both signs, there is none: that is magenta, and needs no warning.
    with np.errstate(invalid="ignore"):
        return values.mean(axis=-1)


def _tile(values: np.ndarray) -> np.ndarray:
    """A map `[height, width]` as a square: larger ones averaged, smaller ones with visible cells."""
    finite = np.isfinite(values)
    drawn = _fit(np.where(finite, values, 0))
    return _coloured(np.where(_fit(np.where(finite, 0, 1)) > 0, np.nan, drawn))


def _fit(values: np.ndarray) -> np.ndarray:
    rows, columns = (_resampling(size) for size in values.shape)
    return rows @ values @ columns.T


def _resampling(size: int) -> np.ndarray:
    """What each pixel of a tile takes of each of so many cells, `[TILE, size]`."""
    if size <= TILE:
        return np.eye(size)[_nearest_cells(size)]
    edges = np.arange(TILE + 1)[:, np.newaxis] * size / TILE
    cells = np.arange(size)
    overlap = np.minimum(edges[1:], cells + 1) - np.maximum(edges[:-1], cells)
    return np.maximum(overlap, 0) * TILE / size


def _nearest_cells(size: int) -> np.ndarray:
    """For each pixel of a tile, the cell at its centre."""
    return (2 * np.arange(TILE) + 1) * size // (2 * TILE)


def _nearest(pixels: np.ndarray) -> np.ndarray:
    """A square of pixels as a tile."""
    cells = _nearest_cells(len(pixels))
    return pixels[cells][:, cells]


def _coloured(values: np.ndarray) -> np.ndarray:
    """Numbers in the colours of the ramp, the least darkest: float64 `[...]` as uint8 `[..., 4]`."""
    finite = np.isfinite(values)
    known = values[finite] if finite.any() else np.zeros(1)
    least, most = known.min(), known.max()
    shares = (np.where(finite, values, least) - least) / ((most - least) or 1)
    pixels = _ramp()[np.round(shares * (_LEVELS - 1)).astype(int)]
    pixels[~finite] = NOT_FINITE
    return pixels


def _ramp() -> np.ndarray:
    """The colours from low to high, uint8 `[_LEVELS, 4]`."""
    stops = np.array([(c >> 16, c >> 8 & 255, c & 255, 255) for c in RAMP])
    places = np.linspace(0, len(RAMP) - 1, _LEVELS)
    channels = [np.interp(places, np.arange(len(RAMP)), stop) for stop in stops.T]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def _side(count: int) -> int:
    """Columns of the smallest square with so many places."""
    return math.isqrt(count - 1) + 1


def _grid(pictures: np.ndarray, *, gap: int, columns: int) -> np.ndarray:
    """Pictures `[count, height, width, 4]` in rows, with nothing between them."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    grid = np.zeros((rows, height + gap, columns, width + gap, 4), np.uint8)
    for index, picture in enumerate(pictures):
        grid[index // columns, :height, index % columns, :width] = picture
    whole = grid.reshape(rows * (height + gap), columns * (width + gap), 4)
    return whole[: -gap or None, : -gap or None]
