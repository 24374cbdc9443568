"""The sample image that modules are run on: a house on a hill, drawn with Pillow."""

from PIL import Image, ImageDraw, ImageOps

# Pixels on each side of the canvas, which is then resized: that smooths all edges.
_CANVAS = 1024


def draw(height: int, width: int) -> Image.Image:
    """Return the sample image in this size, RGB.

    It has what the first layers of a network respond to: edges of all directions, flat areas,
    gradients, fine stripes, and round shapes.
    """
    sky = ImageOps.colorize(Image.linear_gradient("L"), black="#3a7bc8", white="#fbe3c0")
    image = sky.resize((_CANVAS, _CANVAS), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    # The sun and its rays, the hill with a fence.
    for angle in range(0, 360, 15):
        pen.pieslice((600, 0, 1020, 420), angle, angle + 5, fill="#ffe9a0")
    pen.ellipse((710, 110, 910, 310), fill="#ffd23f")
    pen.ellipse((-400, 640, 1424, 1700), fill="#4f9d3a")
    for x in range(0, _CANVAS, 24):
        pen.rectangle((x, 850, x + 9, 960), fill="#f4e8d0")
    # The house: walls, roof with its tiles, door, window. The tree.
    pen.rectangle((180, 480, 600, 830), fill="#f7d6bf")
    pen.polygon([(130, 490), (390, 230), (650, 490)], fill="#c0392b")
    for y in range(250, 490, 20):
        pen.line((390 - (y - 230), y, 390 + (y - 230), y), fill="#8e2a20", width=6)
    pen.rectangle((420, 620, 520, 830), fill="#1d4e89")
    pen.rectangle((240, 560, 360, 680), fill="#9ad1f0", outline="#ffffff", width=12)
    pen.rectangle((850, 560, 880, 850), fill="#6b4226")
    pen.ellipse((750, 420, 980, 650), fill="#1f5f3b")
    return image.resize((width, height), Image.Resampling.BOX)
