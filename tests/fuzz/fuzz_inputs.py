"""Inputs for the targets of the fuzzer: good ones, changed here and there."""

import gzip
import json
import tarfile
from pathlib import Path

from bad_archives import CONTENT, MEMBER, entry
from hypothesis import strategies as st

from slimhub.signatures.contract import formats

BLOCK = tarfile.BLOCKSIZE
# Where a header has its fields, beside the name: size, checksum, kind, magic.
_SIZE, _CHECKSUM, _KIND = slice(124, 136), slice(148, 156), 156
_KINDS = [*map(bytes, zip(b"0123457LKNSVxgXZ\0 ", strict=False))]

_names = st.sampled_from(
    [MEMBER, MEMBER, MEMBER, f"./{MEMBER}", "./", ".", "", "/", f"../{MEMBER}", "a/b", "x"]
)
_sizes = st.one_of(
    st.integers(0, 2 * len(CONTENT)).map(lambda size: b"%011o\0" % size),
    st.sampled_from([b"7" * 12, b"-0000000001\0", b" " * 12, b"\x80" + b"\xff" * 11, b"\xff" * 12]),
    st.binary(min_size=12, max_size=12),
)


@st.composite
def _entries(draw) -> bytes:
    """A header with fields that may lie, and what follows it."""
    content = CONTENT[: draw(st.integers(0, 1500))]
    pax = draw(
        st.dictionaries(
            st.sampled_from(["path", "size", "linkpath", "GNU.sparse.map", "GNU.sparse.major", ""]),
            st.sampled_from([MEMBER, "0", "-1", "99999999999", "0,9", "x", "\n"]),
            max_size=2,
        )
        if draw(st.integers(0, 4)) == 3
        else st.just({})
    )
    block = bytearray(entry(draw(_names), content, pax_headers=pax))
    start = _last(block, content)
    header = block[start : start + BLOCK]
    if draw(st.integers(0, 4)) == 3:
        header[_KIND : _KIND + 1] = draw(st.sampled_from(_KINDS))
    if draw(st.integers(0, 4)) == 3:
        header[_SIZE] = draw(_sizes)
    for place, byte in draw(
        st.lists(st.tuples(st.integers(0, BLOCK - 1), st.integers(0, 255)), max_size=3)
    ):
        header[place] = byte
    if draw(st.integers(0, 19)) != 7:
        header[_CHECKSUM] = b" " * 8
        header[_CHECKSUM] = b"%06o\0 " % sum(header)
    block[start : start + BLOCK] = header
    return bytes(block)


def _last(block: bytes, content: bytes) -> int:
    """Where the header of the content begins: others may come before it."""
    return len(block) - len(content) - (-len(content) % BLOCK) - BLOCK


@st.composite
def archives(draw) -> bytes:
    tar = b"".join(
        draw(st.lists(_entries(), min_size=1, max_size=draw(st.sampled_from([1, 1, 3]))))
    )
    tar += draw(st.sampled_from([bytes(2 * BLOCK), bytes(20 * BLOCK), b"", bytes(700), b"x"]))
    tar = tar[: draw(st.integers(0, len(tar)))] if draw(st.integers(0, 9)) == 7 else tar
    cut = draw(st.integers(0, len(tar))) if draw(st.integers(0, 9)) == 7 else len(tar)
    # Of one gzip, or of two.
    packed = bytearray(_gzip(tar[:cut]) + (_gzip(tar[cut:]) if cut < len(tar) else b""))
    if draw(st.integers(0, 19)) == 7:
        packed[draw(st.integers(0, len(packed) - 1))] = draw(st.integers(0, 255))
    return bytes(packed)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 300),
    st.integers(),
    st.floats(),
    st.sampled_from(["verified", "synthetic", "float32", "x", "\ud800", "classification"]),
    st.text(max_size=5),
    st.lists(st.integers(-1, 5), max_size=3),
    st.just({}),
)


@st.composite
def _records(draw, texts: list[str]) -> bytes:
    record = json.loads(draw(st.sampled_from(texts)))
    for path, value in draw(st.lists(st.tuples(st.lists(st.integers(0, 20)), _values), max_size=3)):
        _change(record, path, value)
    text = json.dumps(record)
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.text(max_size=3)) + text[place + draw(st.integers(0, 3)) :]
    return text.encode(errors="surrogatepass")


def _change(record, path: list[int], value) -> None:
    """Puts a value where a path leads, or adds it there."""
    for number in path:
        keys = sorted(record) if isinstance(record, dict) else range(len(record))
        if not keys:
            return
        key = keys[number % len(keys)]
        if isinstance(record[key], dict | list) and number % 2:
            record = record[key]
        else:
            record[key] = value
            return


def inputs(modules: Path) -> dict[str, st.SearchStrategy[bytes]]:
    """By target; `modules` is the directory of good modules."""
    texts = [(path / formats.PROVENANCE).read_text() for path in sorted(modules.iterdir())]
    return {
        "archives": archives(),
        "records": _records(texts),
    }
