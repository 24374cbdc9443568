"""Finds the checkpoint that `--checkpoint` names, and says how sure its origin is."""

import dataclasses
import glob
import re
import urllib.parse
import urllib.request
from pathlib import Path

from slimhub.export import checkpoint_archive, download, synthetic
from slimhub.export.errors import SourceError
from slimhub.models.catalog import Archive, Model
from slimhub.signatures.provenance import File

SYNTHETIC = "synthetic"
_ARCHIVES = (".tar.gz", ".tgz")
# In a path: what TensorFlow takes for a pattern, and bytes that aren't UTF-8, which it can't take.
_UNUSABLE = re.compile("[*?[\\\\\udc80-\udcff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
      path: what TensorFlow's readers take: the file of a V1 checkpoint, or the prefix of a V2 one.
      status: `verified`, `unverified` or `synthetic`.
      files: those that it is read from, an archive before its member, as they were at first.
      places: of these files.
    """

    path: Path
    status: str
    files: tuple[File, ...]
    places: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        """Of all its files, an archive beside what is in it."""
        return sum(file.num_bytes for file in self.files)

    def refuse_changed(self) -> None:
        """Raises `SourceError` unless what was read is what was recorded."""
        for file, place in zip(self.files, self.places, strict=True):
            try:
                found = File.read(place).sha256
            except OSError as error:
                found = str(error)
            if found != file.sha256:
                raise SourceError(
                    f"{place} changed while it was read: expected the SHA-256 {file.sha256}, got "
                    f"{found}. Export again when nobody writes it any more."
                )


def resolve(source: str | None, *, model: Model, workdir: Path) -> Checkpoint:
    """Brings a checkpoint of `model` onto the disk.

    Args:
      source: a V1 file, a V2 prefix, an archive, a directory with one of these, a URL of an
        archive, or `synthetic`; None for the published archive, from the cache or downloaded.
      model: which network.
      workdir: an empty directory to unpack into.

    Raises:
      CheckpointError: there is no such checkpoint, or it can't be brought here.
    """
    try:
        if source == SYNTHETIC:
            path = synthetic.write_archive(model, into=workdir)
            return _unpack(path, model=model, workdir=workdir, status="synthetic")
        if source is None:
            return _unpack(_download(model.archive), model=model, workdir=workdir)
        url = _url(source)
        if url.scheme in ("http", "https"):
            elsewhere = dataclasses.replace(model.archive, urls=(source,))
            return _unpack(_download(elsewhere), model=model, workdir=workdir)
        path = Path(urllib.request.url2pathname(url.path) if url.scheme == "file" else source)
        if path.is_dir():
            path = _in_directory(path, model)
        if path.name.endswith(_ARCHIVES) and path.is_file():
            return _unpack(path, model=model, workdir=workdir)
        return _bare(path, workdir=workdir)
    except OSError as error:
        raise SourceError(f"--checkpoint={source} can't be used: {error}") from error


def _url(source: str) -> urllib.parse.SplitResult:
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
    return url


def _download(published: Archive) -> Path:
    return download.fetch(published, cache=download.default_cache())


def _unpack(path: Path, *, model: Model, workdir: Path, status: str | None = None) -> Checkpoint:
    published = model.archive
    source = File.read(path)
    if status is None:
        status = "verified" if source.sha256 == published.sha256 else "unverified"
    member = checkpoint_archive.extract(
        path, member=published.member, max_bytes=published.max_member_bytes, into=workdir
    )
    return Checkpoint(
        path=member,
        status=status,
        files=(source, File.read(member)),
        places=(path, member),
    )


def _bare(path: Path, *, workdir: Path) -> Checkpoint:
    """A checkpoint outside an archive: nobody published sums of these."""
    if path.suffix == ".index" and path.is_file():
        path = path.with_suffix("")
    index = path.with_name(path.name + ".index")
    data = path.parent.glob(f"{glob.escape(path.name)}.data-*-of-*")
    shards = sorted(filter(Path.is_file, data))
    if path.is_file():
        files = [path]
    elif index.is_file() and shards:
        files = [index, *shards]
    elif index.is_file() or shards:
        found = index.name if index.is_file() else ", ".join(shard.name for shard in shards)
        raise SourceError(
            f"{path} is half a V2 checkpoint: of its .index and .data-*-of-* files only {found} is there."
        )
    else:
        raise SourceError(
            f"There is no checkpoint at {path}: tried it as a V1 file and as the prefix of a V2 checkpoint."
        )
    sources = tuple(map(File.read, files))
    return Checkpoint(
        path=_literal(path, files, workdir),
        status="unverified",
        files=sources,
        places=tuple(files),
    )


def _literal(path: Path, files: list[Path], workdir: Path) -> Path:
    """A path of the same files that TensorFlow finds too."""
    if not _UNUSABLE.search(str(path)):
        return path
    for file in files:
        (workdir / _UNUSABLE.sub("_", file.name)).symlink_to(file.absolute())
    return workdir / _UNUSABLE.sub("_", path.name)


def _in_directory(directory: Path, model: Model) -> Path:
    archives = (model.archive.name, f"{model.name}.tar.gz")
    prefixes = (model.archive.member, model.name)
    for name in (*archives, model.archive.member):
        if (directory / name).is_file():
            return directory / name
    for prefix in prefixes:
        if (directory / f"{prefix}.index").is_file():
            return directory / prefix
    tried = [*archives, model.archive.member, *(f"{prefix}.index" for prefix in prefixes)]
    raise SourceError(
        f"There is no checkpoint of {model.name} in {directory.absolute()}. Tried: {', '.join(tried)}."
    )
