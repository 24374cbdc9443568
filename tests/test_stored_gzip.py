"""slimhub.export.stored_gzip: gzips whose bytes depend on what is in them only."""

import contextlib
import gzip
import io
import random

import pytest

from slimhub.export import stored_gzip

BLOCK = 0xFFFF


def packed(content: bytes, *, piece: int) -> bytes:
    file = io.BytesIO()
    with stored_gzip.Writer(file) as writer:
        for at in range(0, len(content), piece):
            writer.write(content[at : at + piece])
    return file.getvalue()


def test_bytes():
    """A header without name and time, the content as it is with its length, its checksum and its size."""
    header = "1f8b0800" + "00000000" + "00ff"
    assert packed(b"abc", piece=3) == bytes.fromhex(
        header + "01" + "0300" + "fcff" + "616263" + "c2412435" + "03000000"
    )


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_sizes(size):
    """Content of any size comes out again, and its gzip is the same however it was written in pieces."""
    content = random.Random(size).randbytes(size)
    whole = packed(content, piece=size or 1)
    assert gzip.decompress(whole) == content
    assert {packed(content, piece=piece) for piece in (1000, BLOCK, 1 << 20)} == {whole}
    assert len(whole) == 10 + max(1, -(-size // BLOCK)) * 5 + size + 8


def test_failure():
    """What is written in a block that fails is no gzip."""
    file = io.BytesIO()
    with contextlib.suppress(ValueError), stored_gzip.Writer(file) as writer:
        writer.write(b"half")
        raise ValueError
    with pytest.raises(EOFError):
        gzip.decompress(file.getvalue())
