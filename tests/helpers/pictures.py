"""Pictures that a network can learn to distinguish in a minute."""

import numpy as np

SHAPES = ("disc", "square", "cross")


def draw(count: int, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one bright shape on a dark background in each of `count` pictures.

    All shapes have the same distributions of colour, position and area, so only the outline differs.

    Returns:
      Pictures, float32 `[count, size, size, 3]`, RGB in [0, 1], and each picture's index in `SHAPES`.
    """
    random = np.random.RandomState(seed)
    labels = random.permutation(np.arange(count) % len(SHAPES))
    return np.stack([_picture(random, SHAPES[label], size) for label in labels]), labels


def _picture(random: np.random.RandomState, shape: str, size: int) -> np.ndarray:
    ground, ink = random.uniform(0, 0.4, size=3), random.uniform(0.6, 1, size=3)
    side = np.sqrt(random.uniform(0.12, 0.3))
    centre = random.uniform(0.4, 0.6, size=2)
    y, x = ((np.indices((size, size)).T + 0.5) / size - centre).T / side
    clean = np.where(_inside(shape, x, y)[..., np.newaxis], ink, ground)
    noise = random.normal(scale=0.05, size=clean.shape)
    return np.clip(clean + noise, 0, 1).astype(np.float32)


def _inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points are inside a shape of area 1 around the origin."""
    near, far = np.sort(np.abs([x, y]), axis=0)
    if shape == "disc":
        return near**2 + far**2 < 1 / np.pi
    if shape == "square":
        return far < 0.5
    # Five equal squares.
    return (near < 0.5 / np.sqrt(5)) & (far < 1.5 / np.sqrt(5))
