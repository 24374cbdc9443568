"""Pictures in files as a pipeline meets them: most are as they should be, some are not pictures."""

from pathlib import Path

import numpy as np
import pictures
import tensorflow as tf

# As large as images are to be, larger, and smaller.
SIZES = (224, 320, 97)


def write(directory: Path, *, count: int) -> tuple[dict[str, bytes], set[str]]:
    """Writes `count` pictures, and beside them files that none can be decoded from.

    Returns:
      What is in each file that can be decoded, by its path; and the paths of the others.
    """
    good = {f"{name}.{kind}": data for name, kind, data in _pictures(count)}
    bad = _broken(good)
    for name, data in {**good, **bad}.items():
        (directory / name).write_bytes(data)
    return (
        {str(directory / name): data for name, data in good.items()},
        {str(directory / name) for name in bad},
    )


def _pictures(count: int):
    for index in range(count):
        size = SIZES[index % len(SIZES)]
        [picture], _ = pictures.draw(1, size=size, seed=index)
        pixels = np.round(picture * 255).astype(np.uint8)
        if index % 2:
            yield f"{index:03}", "jpg", tf.io.encode_jpeg(pixels).numpy()
        else:
            yield f"{index:03}", "png", tf.io.encode_png(pixels).numpy()
    grey, alpha = pixels[..., :1], np.concatenate([pixels, pixels[..., :1]], axis=-1)
    yield "grey", "png", tf.io.encode_png(grey).numpy()
    yield "grey", "jpg", tf.io.encode_jpeg(grey).numpy()
    yield "alpha", "png", tf.io.encode_png(alpha).numpy()


def _broken(good) -> dict[str, bytes]:
    png, jpeg = good["000.png"], good["001.jpg"]
    middle = len(png) // 2
    return {
        "empty.png": b"",
        "text.jpg": b"no picture at all",
        "page.html": b"<html><body>404</body></html>",
        "truncated.png": png[:middle],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "header only.jpg": jpeg[:20],
        "corrupt.png": png[:middle] + bytes(64) + png[middle + 64 :],
    }
