"""The picture that modules are shown: a house on a hill, drawn from coordinates.

It has what first layers look for: edges of many directions, flat colours, gradients, fine stripes
and checks, and round shapes.
"""

import numpy as np

# Points on each side of a pixel, whose mean it is.
_SAMPLES = 4


def draw(height: int, width: int) -> np.ndarray:
    """The scene, stretched to that size: float32 `[height, width, 3]`, RGB in [0, 1]."""
    rows, columns = height * _SAMPLES, width * _SAMPLES
    y, x = (np.indices((rows, columns)).T + 0.5).T / np.reshape([rows, columns], (2, 1, 1))
    canvas = _Canvas(x, y)
    _sky(canvas)
    _hills(canvas)
    _path(canvas)
    _tree(canvas)
    _house(canvas)
    samples = canvas.colours.reshape(height, _SAMPLES, width, _SAMPLES, 3)
    return samples.mean(axis=(1, 3)).astype(np.float32)


class _Canvas:
    """Points, and their colours.

    Attributes:
      x, y: from 0 to 1, right and down.
      colours: of each point, RGB.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y = x, y
        self.colours = np.zeros((*x.shape, 3))

    def fill(self, where: np.ndarray, colour, other=None, share=0.0) -> None:
        """Paints the points `where` with a colour, and their `share` with another."""
        share = np.broadcast_to(share, self.x.shape)[where][:, np.newaxis]
        first = np.array(_rgb(colour))
        self.colours[where] = first + share * (_rgb(other or colour) - first)

    def box(self, left, top, right, bottom) -> np.ndarray:
        return (left < self.x) & (self.x < right) & (top < self.y) & (self.y < bottom)

    def disc(self, x, y, radius) -> np.ndarray:
        return self.distance(x, y) < radius

    def distance(self, x, y) -> np.ndarray:
        return np.hypot(self.x - x, self.y - y)


def _rgb(colour: int) -> np.ndarray:
    """A colour as on pages, `0xRRGGBB`."""
    return np.array([colour >> 16, colour >> 8 & 255, colour & 255]) / 255


def _sky(c: _Canvas) -> None:
    c.fill(c.y >= 0, 0x3A7BC8, 0xFBE3C0, np.clip(c.y / 0.62, 0, 1))
    glow = np.clip(1 - (c.distance(0.8, 0.2) - 0.11) / 0.12, 0, 1) ** 2
    c.colours += 0.55 * glow[..., np.newaxis] * (_rgb(0xFFF0B0) - c.colours)
    c.fill(c.disc(0.8, 0.2, 0.11), 0xFFD23F)
    for x, y, radius in ((0.16, 0.17, 0.05), (0.225, 0.14, 0.065), (0.3, 0.17, 0.055)):
        c.fill(c.disc(x, y, radius) & (c.y < 0.19), 0xFFFFFF)


def _hills(c: _Canvas) -> None:
    far = 0.52 + 0.05 * np.sin(7 * c.x + 2.6)
    c.fill(c.y > far, 0x5B8E7D, 0x86B38F, np.clip((c.y - far) / 0.15, 0, 1))
    near = 0.7 - 0.06 * np.sin(4 * c.x + 0.5)
    c.fill(c.y > near, 0x4F9D3A, 0x2E6B26, np.clip((c.y - near) / 0.3, 0, 1))
    # Blades of grass.
    blades = np.sin(150 * c.x + 9 * np.sin(40 * c.y)) * np.sin(110 * c.y) > 0.35
    c.fill((c.y > near + 0.02) & blades, 0x6DBB4B)


def _path(c: _Canvas) -> None:
    """Checked, and wider towards the front."""
    near = (c.y - 0.76) / 0.24
    half = 0.055 + 0.14 * near
    across = (c.x - 0.4 - 0.1 * near) / np.maximum(half, 1e-3)
    # In perspective: equal tiles look shorter farther away.
    along = 7 * np.log1p(2.2 * np.clip(near, 0, 1))
    where = (near > 0) & (abs(across) < 1)
    dark = (np.floor(2 * across) + np.floor(along)) % 2 == 0
    c.fill(where, 0xF4E8D0)
    c.fill(where & dark, 0x7B4B3A)


def _tree(c: _Canvas) -> None:
    c.fill(c.box(0.835, 0.55, 0.865, 0.8), 0x6B4226)
    for x, y, radius in ((0.85, 0.46, 0.1), (0.79, 0.53, 0.07), (0.91, 0.53, 0.07)):
        c.fill(c.disc(x, y, radius), 0x1F5F3B)
    for x, y in ((0.82, 0.43), (0.88, 0.47), (0.79, 0.53), (0.92, 0.54), (0.85, 0.53)):
        c.fill(c.disc(x, y, 0.016), 0xE4572E)


def _house(c: _Canvas) -> None:
    c.fill(c.box(0.2, 0.46, 0.6, 0.78), 0xF7D6BF)
    for line in range(47, 78, 3):
        c.fill(c.box(0.2, line / 100, 0.6, line / 100 + 0.005), 0xE2B79A)
    c.fill(c.box(0.5, 0.25, 0.55, 0.4), 0x8A3B2E)
    # The roof, with a line for each row of tiles.
    roof = (c.y > 0.24) & (c.y < 0.47) & (abs(c.x - 0.4) < 0.25 * (c.y - 0.24) / 0.23 + 0.01)
    tiles = np.sin(2 * np.pi * c.y / 0.023) > 0.55
    c.fill(roof, 0xC0392B)
    c.fill(roof & tiles, 0x8E2A20)
    c.fill(c.disc(0.4, 0.385, 0.035), 0xFFFFFF)
    c.fill(c.disc(0.4, 0.385, 0.026), 0x2E86AB)
    _window(c, 0.25)
    c.fill(c.box(0.36, 0.6, 0.45, 0.78), 0x1D4E89)
    c.fill(c.disc(0.435, 0.69, 0.009), 0xFFD23F)
    _window(c, 0.49)
    _awning(c)


def _window(c: _Canvas, left: float) -> None:
    c.fill(c.box(left - 0.01, 0.6, left + 0.08, 0.7), 0xFFFFFF)
    pane = (c.x - left + c.y - 0.61) / 0.15
    c.fill(c.box(left, 0.61, left + 0.07, 0.69), 0x24527A, 0x9AD1F0, np.clip(pane, 0, 1))
    c.fill(c.box(left + 0.031, 0.61, left + 0.039, 0.69), 0xFFFFFF)
    c.fill(c.box(left, 0.646, left + 0.07, 0.654), 0xFFFFFF)


def _awning(c: _Canvas) -> None:
    """Striped, with a scalloped rim."""
    stripe = (c.x - 0.22) / 0.03
    scallop = 0.565 + 0.022 * np.sqrt(np.clip(1 - (2 * (stripe % 1) - 1) ** 2, 0, 1))
    where = (c.x > 0.22) & (c.x < 0.58) & (c.y > 0.51) & (c.y < scallop)
    c.fill(where, 0xFFFFFF)
    c.fill(where & (np.floor(stripe) % 2 == 0), 0x16A085)
