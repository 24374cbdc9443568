"""Pictures of arrays: what is seen is what the arrays hold."""

import numpy as np
import pytest

from slimhub.hub.previews import pictures, sample_image

TILE = pictures.TILE


def tiles(values):
    """Return the tiles of a feature map as RGB, in their order; between them it is transparent."""
    pixels = np.asarray(pictures.activation(values))
    count = (pixels.shape[1] + 4) // (TILE + 4)
    assert pixels.shape == (TILE, (TILE + 4) * count - 4, 4)
    opaque = np.arange(pixels.shape[1]) % (TILE + 4) < TILE
    np.testing.assert_array_equal(pixels[..., 3], np.broadcast_to(255 * opaque, pixels.shape[:2]))
    return [pixels[:, (TILE + 4) * i :][:, :TILE, :3] for i in range(count)]


def enlarged(values):
    """Return a map of divisors of a tile's size in that size."""
    height, width = values.shape
    return np.kron(values, np.ones([TILE // height, TILE // width]))


def halved(values):
    """Return a map of twice a tile's size in that size."""
    return values.reshape(TILE, 2, TILE, 2).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("size", "resize"),
    [((192, 192), halved), ((96, 96), enlarged), ((8, 8), enlarged), ((4, 6), enlarged)],
)
def test_feature_map(size, resize):
    """A map shows its mean and the channels that vary most, each in its own range, larger ones averaged."""
    values = np.random.RandomState(size[0]).normal(size=(*size, 10))
    spreads = np.array([3, 1, 4, 1.5, 9, 2, 6, 5, 0.5, 0.7])
    values = (1e3 + values * spreads / values.std(axis=(0, 1))).astype(np.float32)
    maps = [values.astype(np.float64).mean(axis=-1)]
    maps += [values[..., index].astype(np.float64) for index in (4, 6, 7, 2, 0, 5, 3)]
    for tile, one in zip(tiles(values), map(resize, maps), strict=True):
        expected = 255 * (one - one.min()) / np.ptp(one)
        np.testing.assert_allclose(tile, np.repeat(expected[..., None], 3, axis=-1), atol=0.6)


@pytest.mark.parametrize("channels", [3, 9])
def test_constant_channels(channels):
    """Channels that vary equally come in their order; a constant one is black."""
    values = np.zeros([3, 3, channels], np.float32)
    values[1, 1, -1] = 1
    values[..., 0] = 5
    _, first, *others = tiles(values)
    assert first.max() == 255
    assert len(others) == min(channels, pictures.MOST_CHANNELS) - 1
    assert not np.any(others)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [8, 192])
def test_not_finite_map(value, size):
    """A value that is not finite is magenta, and nothing else is; the finite ones keep their range."""
    values = np.zeros([size, size, 12], np.float32)
    values[...] = np.arange(size)[:, np.newaxis, np.newaxis]
    # The first row and another have the range.
    values[0, 1, 11] = value
    mean, channel, other, *_ = tiles(values)
    magenta = np.zeros([TILE, TILE], bool)
    magenta[: max(1, TILE // size), TILE // size : max(1, 2 * TILE // size)] = True
    for tile in (mean, channel):
        np.testing.assert_array_equal((tile == pictures.NOT_FINITE).all(axis=-1), magenta)
        np.testing.assert_array_equal(tile[~magenta], other[~magenta])


@pytest.mark.parametrize("shape", [(3, 3, 1), (1, 1, 4)])
def test_nothing_finite(shape):
    """A map and a vector without any finite number are all magenta."""
    pixels = np.asarray(pictures.activation(np.full(shape, np.nan, np.float32)))
    assert (pixels[pixels[..., 3] == 255, :3] == pictures.NOT_FINITE).all()
    assert (pixels[..., 3] == 255).any()


@pytest.mark.parametrize(("count", "side"), [(1024, 32), (141, 12), (5, 3), (1, 1)])
def test_feature_vector(count, side):
    """All numbers of a vector are in one tile, row by row; the space that is left is transparent."""
    values = np.arange(count, dtype=np.float32)
    pixels = np.asarray(pictures.activation(values.reshape(1, 1, count)))
    assert pixels.shape == (TILE, TILE, 4)
    cells = enlarged(np.arange(side * side).reshape(side, side))
    np.testing.assert_array_equal(pixels[..., 3], 255 * (cells < count))
    shown = pixels[cells < count, :3]
    expected = 255 * cells[cells < count] / max(count - 1, 1)
    np.testing.assert_allclose(shown, np.repeat(expected[:, np.newaxis], 3, axis=1), atol=0.6)


def test_filters():
    """Each filter is divided by its largest magnitude, grey is 0, and it is transparent between them."""
    kernel = np.random.RandomState(1).normal(size=(3, 2, 3, 7)).astype(np.float32)
    kernel *= 10.0 ** np.arange(-3, 4)
    kernel[..., 3] = 0
    kernel[2, 1, 1, 5] = np.nan
    expected = np.zeros([3 * 3 + 2, 3 * 2 + 2, 4])
    for index in range(7):
        for row, column in np.ndindex(3, 2):
            weights = kernel[..., index]
            largest = np.nanmax(np.abs(weights)) or 1
            colour = (*(127.5 + 127.5 * weights[row, column] / largest), 255)
            if (index, row, column) == (5, 2, 1):
                colour = (*pictures.NOT_FINITE, 255)
            expected[4 * (index // 3) + row, 3 * (index % 3) + column] = colour
    np.testing.assert_allclose(np.asarray(pictures.filters(kernel), float), expected, atol=0.51)


@pytest.mark.parametrize("size", [(299, 299), (96, 160), (1, 1)])
def test_sample_image(size):
    """The sample image has any size."""
    assert np.asarray(sample_image.draw(*size)).shape == (*size, 3)
