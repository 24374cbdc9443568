"""Finds the checkpoint that `--checkpoint` names, and says how sure its origin is."""

import dataclasses
import glob
import hashlib
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from slimhub.export import checkpoint_archive, download, synthetic, training_directory
from slimhub.export.errors import SourceError
from slimhub.export.request import SYNTHETIC
from slimhub.models import catalog
from slimhub.models.catalog import Model
from slimhub.signatures.provenance import File

_ARCHIVES = (".tar.gz", ".tgz")
_OF_KERAS = (".h5", ".hdf5", ".keras")
_NO_KERAS = (
    "whose weights are not those of TF-Slim's networks. Expected a checkpoint of TensorFlow 1."
)
# In a path: what TensorFlow takes for a pattern, and bytes that aren't UTF-8, which it can't take.
_UNUSABLE = re.compile("[*?[\\\\\udc80-\udcff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
      path: what TensorFlow's readers take: the file of a V1 checkpoint, or the prefix of a V2 one.
      taken: what was found where the weights were looked for, a path or `synthetic`.
      status: one of `provenance.STATUSES`.
      files: those that it is read from, an archive before its member, as they were at first.
      places: of these files.
    """

    path: Path
    taken: str
    status: str
    files: tuple[File, ...]
    places: tuple[Path, ...]

    @property
    def largest(self) -> int:
        """Bytes of its largest file."""
        return max(file.num_bytes for file in self.files)

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


def resolve(
    source: str | None, *, model: Model | None, workdir: Path, sha256: str | None = None
) -> Checkpoint:
    """Brings a checkpoint onto the disk.

    Args:
      source: a V1 file, a V2 prefix, an archive, a directory with one of these, that of a training,
        a URL of an archive, or `synthetic`; None for the published archive, from the cache or
        downloaded.
      model: which network it is of; None for any, if the source is on disk.
      workdir: an empty directory to unpack into.
      sha256: what the archive, or the V1 file, must have.

    Raises:
      CheckpointError: there is no such checkpoint, or it can't be brought here.
    """
    finder = _Finder(
        models=catalog.MODELS if model is None else (model,), workdir=workdir, sha256=sha256
    )
    try:
        return finder.find(source)
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


def in_directory(directory: Path, models: Sequence[Model]) -> Path:
    """What a directory holds: an archive, a V1 file, or a V2 prefix.

    Raises:
      SourceError: it holds none that one of the networks could have, or several.
    """
    named = {path for model in models if (path := _named(directory, model)) is not None}
    newest = training_directory.newest(directory)
    if newest is not None:
        named = {path for path in named if os.path.realpath(path) != os.path.realpath(newest)}
    found = sorted(named | {newest} - {None})
    if len(found) == 1:
        return found[0]
    if found:
        said = f", whose state file names {newest} as the newest" if newest else ""
        raise SourceError(
            f"There is more than one checkpoint in {directory.absolute()}{said}: "
            f"{', '.join(path.name for path in found)}. Name one, --checkpoint={found[0]}"
        )
    names, tried = models[0].name, ", ".join(_names(models[0]))
    if len(models) > 1:
        names, tried = "any network", f"names such as {tried}"
    raise SourceError(
        f"There is no checkpoint of {names} in {directory.absolute()}. Tried: {tried}, "
        f"{training_directory.STATE}. {_instead(directory)}"
    )


def _names(model: Model) -> list[str]:
    """Of the files that a directory may hold, the preferred ones first."""
    member = model.archive.member
    archives = (model.archive.name, f"{model.name}.tar.gz")
    return [*archives, member, f"{member}.index", f"{model.name}.index"]


def _named(directory: Path, model: Model) -> Path | None:
    for name in _names(model):
        if (directory / name).is_file():
            return directory / name.removesuffix(".index")
    return None


def _instead(directory: Path) -> str:
    """What else a directory without a checkpoint holds."""
    if (directory / "saved_model.pb").is_file():
        return (
            "It is a SavedModel; if TensorFlow 1 wrote it, its weights are a checkpoint: "
            f"--checkpoint={directory / 'variables' / 'variables'}"
        )
    keras = sorted(path.name for path in directory.iterdir() if path.suffix in _OF_KERAS)
    if keras:
        return f"It holds files of Keras, {', '.join(keras[:3])}, {_NO_KERAS}"
    return training_directory.what_is_there(directory)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finder:
    """Finds a checkpoint; attributes as the arguments of `resolve`, all networks that it may be of."""

    models: Sequence[Model]
    workdir: Path
    sha256: str | None

    def find(self, source: str | None) -> Checkpoint:
        if source == SYNTHETIC:
            path = synthetic.write_archive(self._model, into=self.workdir)
            return self._unpack(path, status=SYNTHETIC)
        if source is None:
            return self._unpack(self._download())
        url = _url(source)
        if url.scheme in ("http", "https"):
            return self._unpack(self._download(source), taken=source)
        path = Path(urllib.request.url2pathname(url.path) if url.scheme == "file" else source)
        if path.is_dir():
            path = in_directory(path, self.models)
        if path.name.endswith(_ARCHIVES) and path.is_file():
            return self._unpack(path)
        return self._bare(path)

    @property
    def _model(self) -> Model:
        """The one network. Raises `SourceError` if it may be any."""
        if len(self.models) > 1:
            raise SourceError(
                "Of a checkpoint that is not on disk, the network must be named: --model."
            )
        return self.models[0]

    def _download(self, url: str | None = None) -> Path:
        archive, cache = self._model.archive, download.default_cache()
        if url is not None:
            archive = dataclasses.replace(archive, urls=(url,))
        if self.sha256 not in (None, archive.sha256):
            # Another file than the published one, of which nothing else is known.
            archive = dataclasses.replace(archive, sha256=self.sha256, num_bytes=None)
            cache /= self.sha256
        elif url is not None and archive.sha256 is None:
            # Nothing tells it from the published one, but where it is from.
            cache /= hashlib.sha256(url.encode()).hexdigest()
        return download.fetch(archive, cache=cache)

    def _unpack(
        self, path: Path, *, status: str | None = None, taken: str | None = None
    ) -> Checkpoint:
        source = File.read(path)
        status = status or self._status(path, source)
        archives = [model.archive for model in self.models]
        member = checkpoint_archive.extract(
            path,
            members={archive.member: archive.max_member_bytes for archive in archives},
            into=self.workdir,
        )
        return Checkpoint(
            path=member,
            taken=SYNTHETIC if status == SYNTHETIC else taken or str(path),
            status=status,
            files=(source, File.read(member)),
            places=(path, member),
        )

    def _bare(self, path: Path) -> Checkpoint:
        """A checkpoint outside an archive: nobody published sums of these."""
        if path.suffix == ".index" and path.is_file():
            path = path.with_suffix("")
        files = _files(path)
        if self.sha256 is not None and len(files) > 1:
            raise SourceError(
                f"{path} is a V2 checkpoint, of {len(files)} files: --sha256 can only be that of an "
                "archive or of a V1 checkpoint, which are one file. Leave it out, or pack one."
            )
        sources = tuple(map(File.read, files))
        return Checkpoint(
            path=_literal(path, files, self.workdir),
            taken=str(path),
            status=self._status(path, sources[0]),
            files=sources,
            places=tuple(files),
        )

    def _status(self, path: Path, file: File) -> str:
        """How sure the origin of a file is. Raises `SourceError` if it is not the one it must be."""
        if self.sha256 not in (None, file.sha256):
            raise SourceError(
                f"{path} is not the file that --sha256 names: expected the SHA-256 {self.sha256}, "
                f"found {file.sha256}. Nothing was exported."
            )
        if any(file.sha256 == model.archive.sha256 for model in self.models):
            return "verified"
        return "unverified" if self.sha256 is None else "pinned"


def _files(path: Path) -> list[Path]:
    """Those of a checkpoint outside an archive. Raises `SourceError`."""
    index = path.with_name(path.name + ".index")
    data = path.parent.glob(f"{glob.escape(path.name)}.data-*-of-*")
    shards = sorted(filter(Path.is_file, data))
    if path.is_file():
        if path.suffix in _OF_KERAS:
            raise SourceError(f"{path} is a file of Keras, {_NO_KERAS}")
        return [path]
    if index.is_file() and shards:
        return [index, *shards]
    if index.is_file() or shards:
        found = index.name if index.is_file() else ", ".join(shard.name for shard in shards)
        raise SourceError(
            f"{path} is half a V2 checkpoint: of its .index and .data-*-of-* files only {found} is there."
        )
    raise SourceError(
        f"There is no checkpoint at {path}: tried it as a V1 file and as the prefix of a V2 checkpoint."
    )


def _literal(path: Path, files: list[Path], workdir: Path) -> Path:
    """A path of the same files that TensorFlow finds too."""
    if not _UNUSABLE.search(str(path)):
        return path
    for file in files:
        (workdir / _UNUSABLE.sub("_", file.name)).symlink_to(file.absolute())
    return workdir / _UNUSABLE.sub("_", path.name)
