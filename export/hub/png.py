"""PNG files of few colours, which TensorFlow writes twice as large: it knows no palettes."""

import struct
import zlib

import numpy as np
import tensorflow as tf

_MOST_COLOURS = 256


def encode(pixels: np.ndarray) -> bytes:
    """The file: with a palette if there are few colours, else as TensorFlow writes it.

    Args:
      pixels: uint8 `[height, width, 3]` or `[height, width, 4]`, RGB or RGBA.
    """
    height, width, channels = pixels.shape
    colours, indices = np.unique(pixels.reshape(-1, channels), axis=0, return_inverse=True)
    if channels != 4 or len(colours) > _MOST_COLOURS:
        return tf.io.encode_png(pixels, compression=9).numpy()
    # A byte before each row says that it is stored as it is.
    rows = np.pad(indices.reshape(height, width).astype(np.uint8), ((0, 0), (1, 0)))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            # Eight bits for each pixel, an index into the palette; no interlacing.
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours[:, :3].tobytes()),
            _chunk(b"tRNS", colours[:, 3].tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
