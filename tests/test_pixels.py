"""export/hub/pixels.py, png.py and scene.py: what is seen is what the arrays hold."""

import math

import numpy as np
import pytest
import tensorflow as tf

from slimhub.export.hub import pixels, png, scene

STOPS = np.array([(c >> 16, c >> 8 & 255, c & 255) for c in pixels.RAMP])


def shares(drawn):
    """Where in the ramp each pixel is, from 0 to 1, by the nearest colour of a fine one."""
    places = np.linspace(0, len(STOPS) - 1, 1001)
    fine = np.stack([np.interp(places, range(len(STOPS)), stop) for stop in STOPS.T], axis=-1)
    colours, indices = np.unique(drawn[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    distances = np.abs(colours[:, np.newaxis] - fine).sum(axis=-1)
    assert distances.min(axis=-1).max() < 3, "all of them are in the ramp"
    return (distances.argmin(axis=-1) / 1000)[indices].reshape(drawn.shape[:-1])


def tiles(drawn):
    """The tiles of a feature map, in their order; what is between them is transparent."""
    count = (drawn.shape[1] + 4) // 100
    assert drawn.shape == (96, 100 * count - 4, 4)
    gaps = [drawn[:, 100 * i + 96 : 100 * i + 100] for i in range(count - 1)]
    assert not np.any(gaps)
    found = [drawn[:, 100 * i : 100 * i + 96] for i in range(count)]
    assert all((tile[..., 3] == 255).all() for tile in found)
    return found


def scaled(values):
    return (values - values.min()) / (values.max() - values.min())


def averaged(values):
    """Of a square map, the mean in each pixel of a tile: made larger, then in blocks."""
    side = math.lcm(len(values), 96)
    large = np.kron(values, np.ones([side // len(values)] * 2))
    return large.reshape(96, side // 96, 96, side // 96).mean(axis=(1, 3))


def nearest(values):
    cells = [int((pixel + 0.5) * len(values) / 96) for pixel in range(96)]
    return values[np.ix_(cells, cells)]


@pytest.mark.parametrize(
    ("size", "fit"),
    [(192, averaged), (112, averaged), (96, nearest), (28, nearest), (7, nearest), (2, nearest)],
)
def test_feature_map(size, fit):
    """A map shows its mean and the channels that vary most, each in its own range, larger ones averaged."""
    random = np.random.RandomState(size)
    values = random.normal(size=(size, size, 10)).astype(np.float32)
    spreads = np.array([3, 1, 4, 1.5, 9, 2, 6, 5, 0.5, 0.7])
    values = (1e3 + values * spreads / values.std(axis=(0, 1))).astype(np.float32)
    mean, *channels = tiles(pixels.feature_map(values))
    expected = [4, 6, 7, 2, 0, 5, 3]
    assert len(channels) == len(expected)
    values = values.astype(np.float64)
    maps = [values.mean(axis=-1), *(values[..., index] for index in expected)]
    for tile, one in zip([mean, *channels], maps, strict=True):
        np.testing.assert_allclose(shares(tile), scaled(fit(one)), atol=0.01)


def test_upright():
    """Rows of a map are rows of its tile, the first on top, and its columns are columns."""
    values = np.zeros([4, 6, 1])
    values[0, 5] = 1
    _, tile = tiles(pixels.feature_map(values))
    bright = np.argwhere(shares(tile) > 0.5)
    assert [*bright.min(axis=0), *bright.max(axis=0)] == [0, 80, 23, 95]


def test_ties():
    """Of channels that vary equally the first come first, and a constant one is drawn as its lowest."""
    values = np.zeros([3, 3, 9], np.float32)
    values[1, 1, 8] = 1
    values[..., 0] = 5
    assert list(pixels.most_varied(values)) == [8, 0, 1, 2, 3, 4, 5]
    _, first, *others = tiles(pixels.feature_map(values))
    assert shares(first).max() == 1
    assert len(others) == 6
    for tile in others:
        assert (tile[..., :3] == STOPS[0]).all()


def test_few_channels():
    """Of fewer channels than usual, all are drawn."""
    assert len(tiles(pixels.feature_map(np.ones([5, 5, 3])))) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [8, 192])
def test_not_finite_map(value, size):
    """What is not finite is magenta, there and nowhere else, and what is finite keeps its range."""
    values = np.zeros([size, size, 12])
    values[...] = np.arange(size)[:, np.newaxis, np.newaxis]
    values[0, 1, 11] = value
    mean, channel, other, *_ = tiles(pixels.feature_map(values))
    magenta = nearest(~np.isfinite(values[..., 11])) if size == 8 else np.zeros([96, 96], bool)
    magenta[0, 0] |= size == 192
    for tile in (mean, channel):
        np.testing.assert_array_equal((tile == pixels.NOT_FINITE).all(axis=-1), magenta)
        np.testing.assert_array_equal(tile[~magenta], other[~magenta])


def test_nothing_finite():
    """A map and a vector without any finite number are all magenta."""
    (mean, channel) = tiles(pixels.feature_map(np.full([3, 3, 1], np.nan)))
    vector = pixels.feature_vector(np.full([4], np.nan))
    for tile in (mean, channel, vector):
        assert (tile == pixels.NOT_FINITE).all()


@pytest.mark.parametrize(("count", "side"), [(1024, 32), (192, 14), (5, 3), (1, 1)])
def test_feature_vector(count, side):
    """All numbers of a vector are in one tile, row by row; places that are left are transparent."""
    values = np.arange(count, dtype=np.float32)
    drawn = pixels.feature_vector(values)
    assert drawn.shape == (96, 96, 4)
    cells = nearest(np.arange(side * side).reshape(side, side))
    np.testing.assert_array_equal(drawn[..., 3], 255 * (cells < count))
    expected = cells[cells < count] / max(count - 1, 1)
    np.testing.assert_allclose(shares(drawn[cells < count]), expected, atol=0.01)


def test_ramp():
    """From low to high, colours get lighter in equal steps, so that they can be read without hue."""
    light = STOPS / 255
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ (0.2126, 0.7152, 0.0722)) - 16
    np.testing.assert_allclose(np.diff(lightness), 17.5, atol=0.3)


def test_filters():
    """Each filter is scaled by its own largest magnitude, grey is 0, and nothing is between them."""
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
                colour = pixels.NOT_FINITE
            expected[4 * (index // 3) + row, 3 * (index % 3) + column] = colour
    found = pixels.filters(kernel)
    assert (found.shape, found.dtype) == (expected.shape, np.uint8)
    np.testing.assert_allclose(found, expected, atol=0.51)


@pytest.mark.parametrize("colours", [1, 2, 256, 257])
@pytest.mark.parametrize("channels", [3, 4])
def test_png(colours, channels):
    """A file holds the same pixels, of few colours or many, and of few it is smaller than TensorFlow's."""
    random = np.random.RandomState(colours)
    palette = random.permutation(2**24)[:colours]
    palette = np.stack([palette >> 16, palette >> 8 & 255, palette & 255, palette % 256], axis=-1)
    indices = np.append(np.arange(colours), random.randint(colours, size=100 * 30 - colours))
    drawn = palette.astype(np.uint8)[indices].reshape(100, 30, 4)[..., :channels]
    encoded = png.encode(drawn)
    np.testing.assert_array_equal(tf.io.decode_png(encoded, channels=channels), drawn)
    if channels == 4 and colours == 2:
        assert len(encoded) < 0.8 * len(tf.io.encode_png(drawn, compression=9).numpy())


@pytest.mark.parametrize("size", [(224, 224), (299, 299), (32, 32), (96, 160), (1, 1)])
def test_scene(size):
    """The scene is drawn in any size, always the same, with all that it shows in its place."""
    image = scene.draw(*size)
    assert (image.shape, image.dtype) == ((*size, 3), np.float32)
    assert image.min() >= 0
    assert image.max() <= 1
    np.testing.assert_array_equal(image, scene.draw(*size))
    if min(size) >= 32:
        red, green, blue = np.moveaxis(image, -1, 0)
        at = {
            name: (int(y * size[0]), int(x * size[1]))
            for name, y, x in (("sun", 0.2, 0.8), ("roof", 0.42, 0.3), ("sky", 0.05, 0.5))
        }
        assert min(red[at["sun"]], green[at["sun"]]) > blue[at["sun"]] + 0.4
        assert red[at["roof"]] > max(green[at["roof"]], blue[at["roof"]]) + 0.3
        assert blue[at["sky"]] > red[at["sky"]] + 0.3


def test_scene_has_edges():
    """The scene has edges of all directions, and flat parts."""
    grey = scene.draw(224, 224).mean(axis=-1)
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    assert np.mean(strength < 0.01) > 0.3
    angles = np.degrees(np.arctan2(down, right))[strength > 0.05] % 180
    counts, _ = np.histogram(angles, bins=12, range=(0, 180))
    assert counts.min() > 100
