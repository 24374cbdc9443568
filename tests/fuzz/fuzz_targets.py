"""Properties that hold for any input from strangers; each function raises if one does not.

An input is bytes, as they are kept in `findings/<target>/`.
"""

import contextlib
import posixpath
import tarfile
import tempfile
from pathlib import Path

from bad_archives import MEMBER, MOST_BYTES, MOST_BYTES_OF_ALL
from publishing import read

from slimhub.signatures.module import provenance
from slimhub.support import tar_gz


def unpack_archive(data: bytes) -> None:
    """An archive gives what others read in it, below one directory, or an expected error and nothing else.

    That is so if the one checkpoint is wanted, and if all files of a module are.
    """
    for only in ({MEMBER: MOST_BYTES}, None):
        with tempfile.TemporaryDirectory() as directory:
            packed, into = Path(directory, "packed"), Path(directory, "into")
            packed.write_bytes(data)
            into.mkdir()
            try:
                tar_gz.unpack(packed, into=into, max_bytes=MOST_BYTES_OF_ALL, only=only)
            except (OSError, tar_gz.BadArchiveError):
                continue
            finally:
                assert sorted(Path(directory).iterdir()) == [into, packed]
            with tarfile.open(packed, "r|gz") as tar:
                expected = {
                    posixpath.normpath(member.name): tar.extractfile(member).read()
                    for member in tar
                    if member.isreg() and (only is None or member.name.removeprefix("./") in only)
                }
            assert read(into) == expected


def read_record(data: bytes) -> None:
    """A text gives a record that is read again as it is written, and a promise, or a `ValueError`."""
    text = data.decode(errors="surrogatepass")
    try:
        record = provenance.from_json(text)
    except ValueError:
        return
    assert provenance.from_json(record.to_json()) == record
    with contextlib.suppress(ValueError):
        record.promise()


TARGETS = {
    "archives": unpack_archive,
    "records": read_record,
}
