"""Archives, good and bad, made piece by piece, so that every piece can be wrong."""

import gzip
import random
import tarfile
from typing import NamedTuple

MEMBER = "inception_v1.ckpt"
CONTENT = random.Random(20160828).randbytes(5000)
# Most bytes that the member may have, and that an archive may unpack to.
MOST_BYTES = 1 << 16
MOST_BYTES_OF_ALL = 3 << 20
LOGIN = b"<!DOCTYPE html>\n<html><title>Sign in</title><form action=/login></form></html>\n"
DIRECTORY, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE


def entry(name=MEMBER, content=CONTENT, kind: bytes = tarfile.REGTYPE, **fields) -> bytes:
    """Return a header and its data, padded to whole blocks."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def bare(kind: bytes, name=MEMBER, **fields) -> bytes:
    return entry(name, b"", kind, **fields)


def tar(*entries: bytes) -> bytes:
    """Return entries, and the two empty blocks that end an archive."""
    return b"".join(entries) + b"\0" * 2 * tarfile.BLOCKSIZE


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


def tar_gz(*entries: bytes) -> bytes:
    return zipped(tar(*entries))


def damaged(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _old_sparse() -> bytes:
    """Return the header of a sparse file in GNU tar's old format, which is empty and stores 4 GB."""
    header = bytearray(bare(tarfile.GNUTYPE_SPARSE, size=1 << 32))
    header[257:265] = b"ustar  \0"
    header[386:410] = b"00000000000\0" * 2
    header[483:495] = b"00000000000\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _numbered(number: int) -> list[bytes]:
    return [entry(str(i), b"") for i in range(number)]


_PLAIN = tar_gz(entry())
_SPARSE = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1"}


class Archive(NamedTuple):
    """An archive, and the problem with it: a key of `tar_gz.PROBLEMS`, or None if it is good.

    Attributes:
      content: bytes of the archive.
      module: problem if all its files are wanted.
      checkpoint: problem if only `MEMBER` is wanted, with at most `MOST_BYTES`.
    """

    content: bytes
    module: str | None
    checkpoint: str | None


# Archives whose problem is another if one file is wanted.
_DIFFERENT = {
    # Good in one of both ways.
    "no_member": (tar_gz(), None, "not_one"),
    "other_name": (tar_gz(entry("inception_v2.ckpt")), None, "not_one"),
    "name_with_suffix": (tar_gz(entry(MEMBER + ".index")), None, "not_one"),
    "name_with_escape": (tar_gz(entry("\x1b[2Ja")), None, "not_one"),
    "name_not_utf8": (tar_gz(entry("a\udcff")), None, "not_one"),
    "backslash": (tar_gz(entry(f".\\{MEMBER}")), None, "not_one"),
    "others_only": (tar_gz(entry("README", b"Hello"), entry("a.meta")), None, "not_one"),
    "is_directory": (tar_gz(bare(DIRECTORY)), None, "kind"),
    "too_large": (tar_gz(entry(content=bytes(MOST_BYTES + 1))), None, "large_member"),
    "others_elsewhere": (tar_gz(entry("../x"), entry(f"/{MEMBER}"), entry()), "name", None),
    "other_in_directory": (tar_gz(entry(f"models/{MEMBER}"), entry()), "no_directory", None),
    "two_roots": (tar_gz(*[bare(DIRECTORY, "./")] * 2, entry()), "twice", None),
    "other_is_link": (tar_gz(bare(LINK, "a", linkname=f"../{MEMBER}"), entry()), "kind", None),
    "other_is_hard_link": (
        tar_gz(entry(), bare(tarfile.LNKTYPE, "b", linkname=MEMBER)),
        "kind",
        None,
    ),
    "other_is_device": (tar_gz(bare(tarfile.CHRTYPE, "a"), entry()), "kind", None),
    # Bad in both.
    "no_name": (tar_gz(entry("")), "name", "not_one"),
    "absolute": (tar_gz(entry(f"/{MEMBER}")), "name", "not_one"),
    "absolute_behind_dot": (tar_gz(entry(f".//{MEMBER}")), "name", "not_one"),
    "parent": (tar_gz(entry(f"../{MEMBER}")), "name", "not_one"),
    "parent_inside": (tar_gz(entry(f"a/../{MEMBER}")), "name", "not_one"),
    "parent_behind_dot": (tar_gz(entry("./../x")), "name", "not_one"),
    "parent_alone": (tar_gz(bare(DIRECTORY, "..")), "name", "not_one"),
    "parent_by_pax": (tar_gz(entry(pax_headers={"path": f"../{MEMBER}"})), "name", "not_one"),
    "dot_is_file": (tar_gz(entry(".", b"x")), "name", "not_one"),
    "dot_inside": (tar_gz(entry("a/./x")), "name", "not_one"),
    "nul_in_name": (tar_gz(entry("x", pax_headers={"path": "a\0b"})), "damaged", "not_one"),
    "no_directory": (tar_gz(entry(f"models/{MEMBER}")), "no_directory", "not_one"),
    "below_a_file": (tar_gz(entry("a", b""), entry("a/b", b"")), "no_directory", "not_one"),
    "link_to_root": (
        tar_gz(bare(LINK, "a", linkname="/"), entry(f"a/{MEMBER}")),
        "kind",
        "not_one",
    ),
    "directory_with_content": (tar_gz(entry("a", b"x", DIRECTORY)), "kind", "not_one"),
    "other_twice": (tar_gz(entry("a"), entry("./a")), "twice", "not_one"),
    "file_and_directory": (tar_gz(entry(), bare(DIRECTORY)), "twice", "kind"),
    "too_large_to_be_there": (tar_gz(entry(size=1 << 40)), "damaged", "large_member"),
}
# By problem.
_SAME = {
    None: {
        "plain": _PLAIN,
        "dot": tar_gz(entry(f"./{MEMBER}")),
        "root": tar_gz(bare(DIRECTORY, "./"), entry(f"./{MEMBER}")),
        "root_without_name": tar_gz(bare(DIRECTORY, "/"), entry()),
        "old": tar_gz(entry(kind=tarfile.AREGTYPE)),
        "pax": tar_gz(entry(mtime=1.5)),
        "record_of_zeros": zipped(tar(entry()) + bytes(tarfile.RECORDSIZE)),
        "zeros_behind_gzip": _PLAIN + bytes(1000),
        "readme_before": tar_gz(entry("README", b"Hello"), entry()),
        "directory": tar_gz(bare(DIRECTORY, "models"), entry(f"models/{MEMBER}", b"a"), entry()),
        "graphs_around": tar_gz(
            entry(f"._{MEMBER}", b"Mac OS X"), entry("eval.graph"), entry(), entry("train.graph")
        ),
        "100_members": tar_gz(*_numbered(99), entry()),
    },
    "kind": {
        "link": tar_gz(bare(LINK, linkname="/etc/passwd")),
        "link_to_member": tar_gz(entry("a"), bare(LINK, linkname="a")),
        "hard_link": tar_gz(bare(tarfile.LNKTYPE, linkname="/etc/passwd")),
        "pipe": tar_gz(bare(tarfile.FIFOTYPE)),
        "character_device": tar_gz(bare(tarfile.CHRTYPE, devmajor=1, devminor=5)),
        "block_device": tar_gz(bare(tarfile.BLKTYPE, devmajor=8)),
        "contiguous": tar_gz(bare(tarfile.CONTTYPE)),
        "unknown_kind": tar_gz(bare(b"Z")),
        "sparse_of_0.1": tar_gz(
            entry(content=b"x", pax_headers=_SPARSE | {"GNU.sparse.size": str(1 << 50)})
        ),
        "sparse_of_1.0": tar_gz(
            entry(
                content=b"1\n0\n9\n",
                pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
            )
        ),
        "old_sparse": tar_gz(_old_sparse()),
        "negative_size": tar_gz(entry(pax_headers={"size": "-512"})),
        "negative_size_of_another": tar_gz(entry("a", pax_headers={"size": "-512"}), entry()),
        "negative_size_in_the_header": tar_gz(entry(size=-512)),
    },
    "twice": {
        "twice": tar_gz(entry(), entry()),
        "two_spellings": tar_gz(entry(), entry(f"./{MEMBER}")),
    },
    "too_many_members": {
        "many_members": tar_gz(*_numbered(101)),
    },
    "too_many_bytes": {
        "too_many_bytes": tar_gz(entry(), entry("a", bytes(MOST_BYTES_OF_ALL))),
        "bomb": tar_gz(entry(content=bytes(64 << 20))),
        "bomb_behind_end": zipped(tar(entry()) + bytes(64 << 20)),
    },
    "large_header": {
        "header": tar_gz(entry("h", bytes(2 << 20), tarfile.XHDTYPE), entry()),
        "declared_header": tar_gz(bare(tarfile.XHDTYPE, size=3 << 20), entry()),
        "declared_name": tar_gz(bare(tarfile.GNUTYPE_LONGNAME, size=1 << 32), entry()),
    },
    "data_behind": {
        "declared_smaller": tar_gz(entry(size=1000)),
        "behind_end": zipped(tar(entry()) + bytes(9999) + b"x"),
        "zeros_behind_end": zipped(tar(entry()) + bytes(2 << 20)),
        "second_tar": zipped(tar(entry()) * 2),
        "damaged_second_header": tar_gz(entry(), damaged(entry("a"), 0)),
        "text_behind_gzip": _PLAIN + LOGIN,
        "data_behind_zeros": _PLAIN + bytes(2 << 20) + b"x",
        "second_gzip": _PLAIN * 2,
        "two_gzips": zipped(tar(entry())[:1000]) + zipped(tar(entry())[1000:]),
    },
    "no_gzip": {
        "empty": b"",
        "one_byte": b"\x1f",
        "bare_tar": tar(entry()),
        "compress": b"\x1f\x9d\x90" + CONTENT,
        "html": LOGIN,
    },
    "damaged": {
        "empty_in_gzip": zipped(b""),
        "text_in_gzip": zipped(LOGIN * 99),
        "unknown_method": b"\x1f\x8b\x07" + _PLAIN[3:],
        "encrypted_flag": b"\x1f\x8b\x08\x3f" + _PLAIN[4:],
        "gzip_header_only": _PLAIN[:10],
        "gzip_name_without_end": b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 99,
        "truncated_gzip": _PLAIN[:1000],
        "truncated_trailer": _PLAIN[:-4],
        "wrong_crc": damaged(_PLAIN, -8),
        "wrong_length": damaged(_PLAIN, -4),
        "damaged_deflate": damaged(_PLAIN, 20),
        "damaged_header": zipped(damaged(tar(entry()), 0)),
        "truncated_tar": zipped(tar(entry())[:1000]),
        "truncated_padding": zipped(entry()[:-1]),
        "declared_bigger": tar_gz(entry(content=b"", size=9999)),
        "sparse_map_damaged": tar_gz(entry(pax_headers={"GNU.sparse.map": "x"})),
        "header_length_of_zero": tar_gz(entry("x", b"0 path=a\n", tarfile.XHDTYPE), entry()),
        "endless_headers": tar_gz(bare(tarfile.XHDTYPE) * 3000),
    },
}
ARCHIVES = {name: Archive(*archive) for name, archive in _DIFFERENT.items()} | {
    name: Archive(content, problem, problem)
    for problem, archives in _SAME.items()
    for name, content in archives.items()
}
