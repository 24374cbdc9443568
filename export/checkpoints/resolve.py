"""Find the checkpoint that `--checkpoint` names, and state how certain its origin is."""

import dataclasses
import glob
import hashlib
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from slimhub.export.checkpoints import directory, download, origin, synthetic, unpack
from slimhub.export.errors import DownloadError, SourceError
from slimhub.export.request import SYNTHETIC
from slimhub.models import catalog
from slimhub.models.model import Model
from slimhub.signatures.module.provenance import File
from slimhub.support import cache

_ARCHIVES = (".tar.gz", ".tgz")
# Ends of the files of a V2 checkpoint after the prefix, and of the graph that a Saver writes.
_PARTS = re.compile(r"\.(index|meta|data-[0-9]{5}-of-[0-9]{5})$")
# Characters in a path that TensorFlow takes for a pattern, and bytes that aren't UTF-8, which it refuses.
_UNUSABLE = re.compile("[*?[\\\\\udc80-\udcff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
      path: path for TensorFlow's readers: the file of a V1 checkpoint, or the prefix of a V2 one.
      taken: source that was used: a path, a URL, or `synthetic`.
      status: a key of `provenance.STATUSES`.
      files: files that it is read from, an archive before its member, with their SHA-256 at first.
      places: paths of these files.
      url: official URL of the archive if the status is `downloaded`; None otherwise.
    """

    path: Path
    taken: str
    status: str
    files: tuple[File, ...]
    places: tuple[Path, ...]
    url: str | None = None

    @property
    def largest(self) -> int:
        """Return the number of bytes of the largest file."""
        return max(file.num_bytes for file in self.files)

    def check_unchanged(self) -> None:
        """Raise `SourceError` if a file has changed since it was recorded."""
        for file, path in zip(self.files, self.places, strict=True):
            try:
                sha256 = File.read(path).sha256
            except OSError as error:
                sha256 = str(error)
            if sha256 != file.sha256:
                raise SourceError(
                    f"{path} changed while it was read: expected the SHA-256 {file.sha256}, got "
                    f"{sha256}. Export again when nobody writes it any more.",
                    reason="changed",
                    path=path,
                    expected=file.sha256,
                    found=sha256,
                )


def resolve(
    source: str | None, *, model: Model | None, workdir: Path, sha256: str | None = None
) -> Checkpoint:
    """Find a checkpoint; download and unpack it if necessary.

    Args:
      source: a V1 file, a V2 prefix, an archive, a directory with one of these, the directory of a module
        or of a training, the URL of an archive, or `synthetic`. None is the published archive, from the
        cache or downloaded.
      model: the network of the checkpoint; None for any network, if the source is on disk.
      workdir: an empty directory to unpack into.
      sha256: expected SHA-256 (hex) of the archive or the V1 file; None for any.

    Raises:
      CheckpointError: there is no such checkpoint, or it can't be downloaded, unpacked or verified.
    """
    finder = _Finder(
        models=catalog.MODELS if model is None else (model,), workdir=workdir, sha256=sha256
    )
    try:
        return finder.find(source)
    except OSError as error:
        raise SourceError(f"--checkpoint={source} can't be used: {error}") from error


def _path_of(source: str) -> Path | None:
    """Return the path that a source names; None for an http or https URL. Raise `SourceError`."""
    try:
        if not source:
            raise ValueError("it names nothing; leave it out for the published archive")
        url = urllib.parse.urlsplit(source)
        if url.netloc and url.scheme not in ("http", "https", "file", ""):
            raise ValueError(f"expected an http, https or file URL, found {url.scheme}")
        if url.scheme == "file" and (url.netloc not in ("", "localhost") or not url.path):
            raise ValueError("expected a file URL with three slashes, file:///path/to/a/file")
    except ValueError as error:
        raise SourceError(f"--checkpoint={source} can't be used: {error}") from error
    if url.scheme in ("http", "https"):
        return None
    return Path(urllib.request.url2pathname(url.path) if url.scheme == "file" else source)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finder:
    """A search for a checkpoint.

    Attributes:
      models: all networks that the checkpoint may be of.
      workdir, sha256: arguments of `resolve`.
    """

    models: Sequence[Model]
    workdir: Path
    sha256: str | None

    def find(self, source: str | None) -> Checkpoint:
        if source == SYNTHETIC:
            archive = synthetic.write_archive(self._model, into=self.workdir)
            return self._unpack(archive, taken=SYNTHETIC)
        path = None if source is None else _path_of(source)
        if path is None:
            return self._unpack(self._download(source), taken=source, cached=True)
        if path.name == directory.SAVED_MODEL and path.is_file():
            path = path.parent
        if path.is_dir():
            path = directory.find(path, self.models)
        if path.name.endswith(_ARCHIVES) and path.is_file():
            return self._unpack(path)
        return self._bare(path)

    @property
    def _model(self) -> Model:
        """Return the one network. Raise `SourceError` if there are several."""
        if len(self.models) > 1:
            raise SourceError(
                "Of a checkpoint that is not on disk, the network must be named: --model."
            )
        return self.models[0]

    def _download(self, url: str | None) -> Path:
        archive = self._model.archive
        try:
            folder = cache.default_cache()
        except cache.NoCacheError as error:
            raise DownloadError(f"{error} Or pass --checkpoint.") from error
        if url is not None:
            archive = dataclasses.replace(archive, urls=(url,))
        if self.sha256 not in (None, archive.sha256):
            # It is not the published file, so its size is unknown.
            archive = dataclasses.replace(archive, sha256=self.sha256, num_bytes=None)
            folder /= self.sha256
        elif url is not None and archive.sha256 is None:
            # Only the URL distinguishes it from the published archive.
            folder /= hashlib.sha256(url.encode()).hexdigest()
        return download.fetch(archive, cache=folder)

    def _unpack(self, path: Path, *, taken: str | None = None, cached: bool = False) -> Checkpoint:
        source = File.read(path)
        # Beside an archive outside the cache, a stranger may have written any `.origin`.
        url = self._official_url(path, source) if cached else None
        status = SYNTHETIC if taken == SYNTHETIC else self._status(path, source, url)
        archives = [model.archive for model in self.models]
        member = unpack.extract(
            path,
            members={archive.member: archive.max_member_bytes for archive in archives},
            into=self.workdir,
            cached=cached,
        )
        return Checkpoint(
            path=member,
            taken=taken or str(path),
            status=status,
            files=(source, File.read(member)),
            places=(path, member),
            url=url,
        )

    def _bare(self, path: Path) -> Checkpoint:
        """Return a checkpoint outside an archive. Nobody published the SHA-256 of such files."""
        if path.is_file():
            path = path.with_name(_PARTS.sub("", path.name) or path.name)
        files = _files(path)
        if self.sha256 is not None and len(files) > 1:
            raise SourceError(
                f"{path} is a V2 checkpoint, of {len(files)} files: --sha256 can only be that of an "
                "archive or of a V1 checkpoint, which are one file. Leave it out, or pack one.",
                path=path,
                expected=self.sha256,
                found=tuple(file.name for file in files),
            )
        sources = tuple(map(File.read, files))
        return Checkpoint(
            path=_literal(path, files, self.workdir),
            taken=str(path),
            status=self._status(path, sources[0]),
            files=sources,
            places=tuple(files),
        )

    def _official_url(self, path: Path, file: File) -> str | None:
        """Return the official https URL that a file came from; None if it didn't, or its SHA-256 is known."""
        archive = self._model.archive
        url = origin.read(path, sha256=file.sha256)
        official = url in archive.urls and url.startswith("https://")
        return url if official and archive.sha256 is None else None

    def _status(self, path: Path, file: File, url: str | None = None) -> str:
        """Return how certain a file's origin is. Raise `SourceError` if it has not the expected SHA-256."""
        if self.sha256 not in (None, file.sha256):
            raise SourceError(
                f"{path} is not the file that --sha256 names: expected the SHA-256 {self.sha256}, "
                f"found {file.sha256}. Nothing was exported.",
                reason="other file",
                path=path,
                expected=self.sha256,
                found=file.sha256,
            )
        if any(file.sha256 == model.archive.sha256 for model in self.models):
            return "verified"
        if url is not None:
            return "downloaded"
        return "unverified" if self.sha256 is None else "pinned"


def _files(path: Path) -> list[Path]:
    """Return the files of a checkpoint outside an archive. Raise `SourceError` if some are missing."""
    if path.is_file():
        if kind := directory.OTHER_FORMATS.get(path.suffix):
            raise SourceError(
                f"{path} is {kind}, {directory.EXPECTED}", reason="other format", path=path
            )
        return [path]
    index = path.with_name(path.name + ".index")
    data = path.parent.glob(f"{glob.escape(path.name)}.data-*-of-*")
    indices = [index] if index.is_file() else []
    shards = sorted(filter(Path.is_file, data))
    if indices and shards:
        return indices + shards
    if indices or shards:
        names = tuple(file.name for file in indices + shards)
        raise SourceError(
            f"{path} is half a V2 checkpoint: of its .index and .data-*-of-* files only "
            f"{', '.join(names)} is there.",
            reason="incomplete",
            path=path,
            found=names,
        )
    names = tuple(directory.checkpoint_names(path.parent)) if path.parent.is_dir() else ()
    instead = f" {directory.describe(path.parent)}" if names else ""
    raise SourceError(
        f"There is no checkpoint at {path}: tried it as a V1 file and as the prefix of a V2 checkpoint."
        f"{instead}",
        reason="absent",
        path=path,
        found=names,
    )


def _literal(path: Path, files: list[Path], workdir: Path) -> Path:
    """Return a path under which TensorFlow finds the files: itself, or that of links in `workdir`."""
    if not _UNUSABLE.search(str(path)):
        return path
    for file in files:
        (workdir / _UNUSABLE.sub("_", file.name)).symlink_to(file.absolute())
    return workdir / _UNUSABLE.sub("_", path.name)
