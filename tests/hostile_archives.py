"""Archives that are hostile or damaged, and what is said of each."""

import gzip
import tarfile

from tarballs import entry, tar

DIRECTORY = tarfile.DIRTYPE
UNPLAIN = "which is no plain relative name"
NO_FILE = "where only files and directories may be"


def zipped(*entries: bytes) -> bytes:
    return gzip.compress(tar(*entries), compresslevel=1, mtime=0)


def _named(name: str) -> bytes:
    return zipped(entry(name, b"x"))


def _kind(kind: bytes, **fields) -> bytes:
    return zipped(entry("a", b"", kind, linkname="/etc/passwd", **fields))


def _sparse() -> bytes:
    headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1"}
    return zipped(entry("a", b"x", pax_headers=headers | {"GNU.sparse.size": str(1 << 50)}))


def _through_a_link(target: str) -> bytes:
    link = entry("variables", b"", tarfile.SYMTYPE, linkname=target)
    return zipped(link, entry("variables/x", b"x"))


def _two_gzips(content: bytes) -> bytes:
    half = len(content) // 2
    return gzip.compress(content[:half]) + gzip.compress(content[half:])


HOSTILE = {
    # Name: the archive, and what is said of it.
    "parent": (_named("../x"), UNPLAIN),
    "parent_inside": (_named("a/../x"), UNPLAIN),
    "parent_behind_dot": (_named("./../x"), UNPLAIN),
    "parent_alone": (zipped(entry("..", b"", DIRECTORY)), UNPLAIN),
    "absolute": (_named("/tmp/x"), UNPLAIN),
    "absolute_behind_dot": (_named(".//tmp/x"), UNPLAIN),
    "dot_as_file": (zipped(entry(".", b"x")), UNPLAIN),
    "dot_inside": (_named("a/./x"), UNPLAIN),
    "no_name": (_named(""), UNPLAIN),
    "nul_in_name": (zipped(entry("x", b"x", pax_headers={"path": "a\0b"})), "null"),
    "long_name": (_named("x" * 5000), "File name too long"),
    "symbolic_link": (_kind(tarfile.SYMTYPE), NO_FILE),
    "hard_link": (_kind(tarfile.LNKTYPE), NO_FILE),
    "link_to_root": (_through_a_link("/"), NO_FILE),
    "link_to_parent": (_through_a_link(".."), NO_FILE),
    "character_device": (_kind(tarfile.CHRTYPE, devmajor=1, devminor=5), NO_FILE),
    "block_device": (_kind(tarfile.BLKTYPE), NO_FILE),
    "pipe": (_kind(tarfile.FIFOTYPE), NO_FILE),
    "contiguous": (_kind(tarfile.CONTTYPE), NO_FILE),
    "unknown_kind": (_kind(b"Z"), NO_FILE),
    "old_sparse": (_kind(tarfile.GNUTYPE_SPARSE), "can't be unpacked"),
    "sparse": (_sparse(), NO_FILE),
    "directory_with_content": (zipped(entry("a", b"x", DIRECTORY)), NO_FILE),
    "negative_size": (
        zipped(entry("a", b"", pax_headers={"size": "-512"})),
        NO_FILE,
    ),
    "twice": (zipped(entry("a", b"x"), entry("./a", b"y")), "'./a' (file, 1 bytes) twice"),
    "file_and_directory": (zipped(entry("a", b""), entry("a", b"", DIRECTORY)), "twice"),
    "below_a_file": (zipped(entry("a", b""), entry("a/b", b"")), "without its directory"),
    "no_directory": (_named("variables/x"), "without its directory before it"),
    "many": (zipped(*(entry(str(i), b"") for i in range(200))), "beyond the 100 members"),
    "large_header": (
        zipped(entry("h", bytes(2 << 20), tarfile.XHDTYPE)),
        "it has a header of 2097152 bytes",
    ),
    "declared_header": (
        gzip.compress(entry("h", b"", tarfile.GNUTYPE_LONGNAME, size=1 << 32)),
        "it has a header of 4294967296 bytes",
    ),
    "many_headers": (
        zipped(*(entry(str(i), b"", tarfile.XGLTYPE) for i in range(5000)), entry("a", b"")),
        "can't be unpacked",
    ),
    "file_is_short": (gzip.compress(entry("a", b"", size=1 << 40)), "ends in the midst"),
    "data_behind": (gzip.compress(tar(entry("a", b"")) + b"more"), "other data behind its last"),
    "megabytes_behind": (gzip.compress(tar(entry("a", b"")) + bytes(2 << 20)), "other data"),
    "second_tar": (gzip.compress(tar(entry("a", b"")) * 2), "other data behind its last file"),
    "second_gzip": (zipped(entry("a", b"")) * 2, "other data behind its gzip"),
    "two_gzips": (_two_gzips(tar(entry("a", b"x"))), "other data behind its gzip"),
    "data_behind_gzip": (zipped(entry("a", b"")) + b"more", "other data behind its gzip"),
    "damaged_header": (gzip.compress(b"x" * 1024), "can't be unpacked"),
    "no_tar": (gzip.compress(b""), "empty file"),
    "no_gzip": (tar(entry("a", b"")), "incorrect header check"),
    "empty": (b"", "it ends before its gzip does"),
    "web_page": (b"<!DOCTYPE html>\n<title>Sign in</title>\n", "incorrect header check"),
}
