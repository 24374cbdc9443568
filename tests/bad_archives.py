"""Archives that hold no checkpoint, or something beside it, or are no archives."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator

import tarballs
from inputs import ARCHIVE, SEED, UNREADABLE, Bad, Good, file, flipped, series, truncated
from tarballs import tar

FLAGS = (f"--checkpoint={ARCHIVE}",)
MEMBER = "inception_v1.ckpt"
BOUND = 64 << 20
CONTENT = random.Random(SEED).randbytes(5000)
LOGIN = b"<!DOCTYPE html>\n<html><title>Sign in</title><form action=/login></form></html>\n"


def entry(name=MEMBER, content=CONTENT, kind=tarfile.REGTYPE, **fields) -> bytes:
    return tarballs.entry(name, content, kind, **fields)


def bare(kind: bytes, name=MEMBER, **fields) -> bytes:
    return entry(name, b"", kind, **fields)


def tar_gz(*entries: bytes) -> bytes:
    return zipped(tar(*entries))


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


def pkzip(name: str, content: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()


def of_old_gnu(good: Good) -> bytes:
    """A sparse member as GNU tar wrote them by default, its map in the header."""
    header = bytearray(bare(b"S"))
    header[257:265] = b"ustar  \0"
    header[386:410] = b"00000000000\0" + b"00000000000\0"
    header[483:495] = b"00000011610\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return tar_gz(bytes(header))


# Of each, the bytes, and what the message says is there.
HOLDS = {
    "no-member": (tar_gz(), "it holds nothing"),
    "only-root": (tar_gz(bare(tarfile.DIRTYPE, "./")), "'.' (directory, 0 bytes)"),
    "wrong-name": (tar_gz(entry("inception_v2.ckpt")), "'inception_v2.ckpt' (file, 5000 bytes)"),
    "name-with-case": (tar_gz(entry("Inception_V1.ckpt")), "'Inception_V1.ckpt' (file,"),
    "name-with-suffix": (tar_gz(entry(MEMBER + ".index")), f"'{MEMBER}.index' (file,"),
    "name-with-space": (tar_gz(entry(MEMBER + " ")), f"'{MEMBER} ' (file,"),
    "name-with-newline": (tar_gz(entry("a\nb")), r"'a\nb' (file,"),
    "name-with-escape": (tar_gz(entry("\x1b[2Ja")), r"'\x1b[2Ja' (file,"),
    "name-not-utf8": (tar_gz(entry("a\udcff")), r"'a\udcff' (file,"),
    "name-without-end": (tar_gz(entry("n" * 9000)), f"'{'n' * 100}' (file,"),
    "no-name": (tar_gz(entry("")), "'' (file,"),
    "absolute-path": (tar_gz(entry(f"/{MEMBER}")), f"'/{MEMBER}'"),
    "absolute-elsewhere": (tar_gz(entry("/etc/passwd")), "'/etc/passwd'"),
    "parent": (tar_gz(entry(f"../{MEMBER}")), f"'../{MEMBER}'"),
    "parent-within": (tar_gz(entry(f"a/../{MEMBER}")), f"'a/../{MEMBER}'"),
    "parent-by-pax": (tar_gz(entry(pax_headers={"path": f"../../{MEMBER}"})), f"'../../{MEMBER}'"),
    "in-directory": (tar_gz(entry(f"models/{MEMBER}")), f"'models/{MEMBER}'"),
    "backslash": (tar_gz(entry(f".\\{MEMBER}")), rf"'.\\{MEMBER}'"),
    "second-member": (tar_gz(entry(), entry("README", b"Hello")), "'README' (file, 5 bytes)"),
    "member-before": (tar_gz(entry("README", b"Hello"), entry()), "'README' (file, 5 bytes)"),
    "twice": (tar_gz(entry(), entry()), f"'{MEMBER}' (file, 5000 bytes), '{MEMBER}'"),
    "two-spellings": (tar_gz(entry(), entry(f"./{MEMBER}")), f"'./{MEMBER}'"),
    "directory-first": (tar_gz(bare(tarfile.DIRTYPE, "models/"), entry()), "'models' (directory"),
    "many-members": (tar_gz(*(entry(f"{i}", b"") for i in range(999))), "'9' (file, 0 bytes), ..."),
    "resource-fork": (tar_gz(entry(f"._{MEMBER}", b"Mac"), entry()), f"'._{MEMBER}' (file, 3"),
    "v2-inside": (
        tar_gz(entry("model.index"), entry("model.data-00000-of-00001")),
        "'model.index' (file, 5000 bytes), 'model.data",
    ),
    "symlink": (tar_gz(bare(tarfile.SYMTYPE, linkname="/etc/passwd")), "symbolic link, 0"),
    "symlink-then-file": (
        tar_gz(bare(tarfile.SYMTYPE, linkname="/tmp/x"), entry()),
        "symbolic link, 0 bytes), ",
    ),
    "hard-link": (tar_gz(bare(tarfile.LNKTYPE, linkname="/etc/passwd")), "hard link, 0"),
    "is-directory": (tar_gz(bare(tarfile.DIRTYPE)), f"'{MEMBER}' (directory"),
    "fifo": (tar_gz(bare(tarfile.FIFOTYPE)), "special file"),
    "character-device": (tar_gz(bare(tarfile.CHRTYPE, devmajor=1, devminor=5)), "special file"),
    "block-device": (tar_gz(bare(tarfile.BLKTYPE, devmajor=8)), "special file"),
    "contiguous": (tar_gz(bare(tarfile.CONTTYPE)), "special file"),
    "unknown-type": (tar_gz(bare(b"Z")), "special file"),
    "sparse-by-pax": (
        tar_gz(entry(content=b"0" * 9, pax_headers={"GNU.sparse.map": "0,9"})),
        "sparse file",
    ),
    "sparse-by-pax-1.0": (
        tar_gz(
            entry(
                content=b"1\n0\n9\n",
                pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
            )
        ),
        "sparse file",
    ),
    "sparse-map-damaged": (tar_gz(entry(pax_headers={"GNU.sparse.map": "x"})), "can't be unpacked"),
    "declared-enormous": (tar_gz(entry(size=1 << 40)), f"(file, {1 << 40} bytes)"),
    "declared-enormous-by-pax": (
        tar_gz(entry(pax_headers={"size": f"{1 << 62}"})),
        f"(file, {1 << 62} bytes)",
    ),
    "declared-just-too-big": (tar_gz(entry(size=BOUND + 1)), f"(file, {BOUND + 1} bytes)"),
    "declared-bigger": (tar_gz(entry(content=b"", size=9999)), "unexpected end of data"),
    "declared-smaller": (tar_gz(entry(size=1000)), "other data behind it"),
    "declared-negative": (tar_gz(entry(size=-512)), "can't be unpacked"),
    "pax-header-huge": (
        tar_gz(bare(tarfile.XHDTYPE, size=3 << 20), entry()),
        f"a header of {3 << 20} bytes",
    ),
    "pax-global-huge": (
        tar_gz(bare(tarfile.XGLTYPE, size=1 << 32), entry()),
        f"a header of {1 << 32} bytes",
    ),
    "gnu-name-huge": (
        tar_gz(bare(tarfile.GNUTYPE_LONGNAME, size=1 << 32), entry()),
        f"a header of {1 << 32} bytes",
    ),
    "pax-headers-endless": (tar_gz(bare(tarfile.XHDTYPE) * 3000), "can't be unpacked"),
    "pax-length-of-zero": (
        tar_gz(entry("x", b"0 path=a\n", tarfile.XHDTYPE), entry()),
        "can't be unpacked",
    ),
    "data-behind-member": (tar_gz(entry(), CONTENT[:512]), "other data behind it"),
    "data-in-padding": (tar_gz(entry()[:-1] + b"x"), "other data behind it"),
    "data-behind-end": (zipped(tar(entry()) + bytes(9999) + b"x"), "other data behind it"),
    "garbage-behind-gzip": (tar_gz(entry()) + b"garbage", "Not a gzipped file"),
    "login-behind-gzip": (tar_gz(entry()) + LOGIN, "Not a gzipped file"),
    "second-gzip": (tar_gz(entry()) * 2, "other data behind it"),
    "second-gzip-truncated": (tar_gz(entry()) + zipped(bytes(99))[:-9], "ended before"),
    "zeros-without-end": (
        tar_gz(entry()) + zipped(bytes(1 << 20)) * 90,
        "other data behind it",
    ),
    "no-checkpoint-inside": (tar_gz(entry()), UNREADABLE),
    "empty-file-inside": (tar_gz(entry(content=b"")), UNREADABLE),
    "login-inside": (tar_gz(entry(content=LOGIN)), UNREADABLE),
    "empty": (b"", "empty file"),
    "one-byte": (b"\x1f", "Not a gzipped file"),
    "zeros": (bytes(9999), "Not a gzipped file"),
    "not-gzip": (tar(entry()), "Not a gzipped file"),
    "not-tar": (zipped(CONTENT), "can't be unpacked"),
    "empty-in-gzip": (zipped(b""), "empty file"),
    "zeros-in-gzip": (zipped(bytes(9999)), "it holds nothing"),
    "text-in-gzip": (zipped(LOGIN * 99), "can't be unpacked"),
    "gzip-in-gzip": (zipped(tar_gz(entry())), "can't be unpacked"),
    "zip-in-gzip": (zipped(pkzip(MEMBER, CONTENT)), "can't be unpacked"),
    "zip": (pkzip(MEMBER, CONTENT), "Not a gzipped file"),
    "xz": (lzma.compress(tar(entry())), "Not a gzipped file"),
    "bzip2": (bz2.compress(tar(entry())), "Not a gzipped file"),
    "zstd": (b"\x28\xb5\x2f\xfd" + CONTENT, "Not a gzipped file"),
    "compress": (b"\x1f\x9d\x90" + CONTENT, "Not a gzipped file"),
    "html": (LOGIN, "Not a gzipped file"),
    "xml": (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "Not a gzipped file"),
    "json": (b'{"error": {"code": 403, "message": "Forbidden"}}', "Not a gzipped file"),
    "lfs-pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 24642554\n",
        "Not a gzipped file",
    ),
    "gzip-unknown-method": (b"\x1f\x8b\x07" + tar_gz(entry())[3:], "Unknown compression method"),
    "gzip-encrypted-flag": (b"\x1f\x8b\x08\x3f" + tar_gz(entry())[4:], "can't be unpacked"),
    "gzip-header-only": (tar_gz(entry())[:10], "ended before"),
    "gzip-name-without-end": (b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 99, "ended before"),
}

# Those that take the good one to make.
CHANGED: dict[str, tuple[Callable[[Good], bytes], str]] = {
    "sparse-of-old-gnu": (of_old_gnu, "sparse file"),
    "member-ungzipped": (lambda good: good.v1, "Not a gzipped file"),
    "member-gzipped": (lambda good: zipped(good.v1), "can't be unpacked"),
    "checkpoint-of-zeros": (
        lambda good: bomb(BOUND),
        UNREADABLE,
    ),
    "bomb": (lambda good: bomb(BOUND + (1 << 20)), "(file, 68157440 bytes)"),
    "v2-data-inside": (
        lambda good: tar_gz(entry(content=good.v2[".data-00000-of-00001"])),
        UNREADABLE,
    ),
    "archive-inside": (
        lambda good: tar_gz(entry(content=good.archive)),
        UNREADABLE,
    ),
}


def bomb(num_bytes: int) -> bytes:
    """An archive of a member of so many MiB of zeros, a few kilobytes itself."""
    header = tarfile.TarInfo(MEMBER)
    header.size = num_bytes
    zeros = zipped(bytes(1 << 20)) * (num_bytes >> 20)
    return zipped(header.tobuf()) + zeros + zipped(bytes(1024))


def corpus() -> Iterator[Bad]:
    for name, (data, says) in HOLDS.items():
        yield _bad(name, lambda good, data=data: data, says)
    for name, (content, says) in CHANGED.items():
        yield _bad(name, content, says)
    yield from _series("truncated", 30, lambda good, at: truncated(good.archive, at), "ended be")
    yield from _series(
        "tar-truncated",
        10,
        lambda good, at: zipped(truncated(_tar(good), at)),
        "can't be unpacked",
    )
    yield from _series(
        "member-truncated",
        8,
        lambda good, at: tar_gz(entry(content=truncated(good.v1, at))),
        UNREADABLE,
    )


def flips() -> Iterator[Bad]:
    """One bit of the file each, and of the header in it. Not every bit is read."""
    yield from _series("flip", 60, lambda good, at: flipped(good.archive, at), "can't be unpacked")
    yield from _series(
        "header-flip",
        12,
        lambda good, at: zipped(flipped(_tar(good)[:512], at) + _tar(good)[512:]),
        "can't be unpacked",
    )


def _tar(good: Good) -> bytes:
    return gzip.decompress(good.archive)


def _series(name: str, number: int, content: Callable[[Good, float], bytes], says: str):
    return series(
        f"archive-{name}",
        number,
        make=lambda at: file(ARCHIVE, lambda good: content(good, at)),
        flags=FLAGS,
        says=says,
    )


def _bad(name: str, content: Callable[[Good], bytes], says: str) -> Bad:
    return Bad(id=f"archive-{name}", make=file(ARCHIVE, content), flags=FLAGS, says=says)
