"""Put a module where tensorflow_hub looks for its URL on TF Hub, so that code which names that runs unchanged.

The place and what is in it are the library's own: see `tensorflow_hub.resolver`. The environment
variable TFHUB_CACHE_DIR chooses it, for programs too.
"""

import os
import shutil
from pathlib import Path

import tensorflow as tf
from tensorflow_hub import compressed_module_resolver, resolver

from slimhub.export.errors import OutputError, VersionExistsError
from slimhub.signatures.contract.handles import SITE
from slimhub.support import tf_errors

# The library takes a URL with and without this for two modules.
_QUERIES = ("", "?tf-hub-format=compressed")


def check_free(handle: str) -> None:
    """Fail early with what would keep a module out of the cache.

    Raises:
      VersionExistsError: there is one of that handle, which may be the original.
      OutputError: the cache can't be written.
    """
    for directory in _directories(handle).values():
        if directory.exists():
            raise VersionExistsError(
                f"{directory} exists, which is the module {handle} for tensorflow_hub, and was left as it is: "
                "--overwrite replaces it, TFHUB_CACHE_DIR is the cache."
            )


def put(module: Path, handle: str) -> tuple[Path, ...]:
    """Copy a module to where tensorflow_hub looks for its URL, and replace what is there.

    Args:
      module: directory of the module.
      handle: `google/imagenet/inception_v1/feature_vector/4`, whose URL is on tfhub.dev.

    Returns:
      The new directories, one for each form of the URL. They share the disk space of their files.

    Raises:
      OutputError: the cache can't be written.
    """
    copies: list[Path] = []

    def copy(url: str, into: str) -> None:
        del url
        if copies:
            shutil.copytree(copies[0], into, copy_function=os.link, dirs_exist_ok=True)
        else:
            shutil.copytree(module, into, dirs_exist_ok=True)

    for url, directory in _directories(handle).items():
        try:
            shutil.rmtree(directory, ignore_errors=True)
            copies.append(Path(resolver.atomic_download(url, copy, str(directory))))
        except (OSError, tf.errors.OpError) as error:
            raise _unwritable(directory, error) from error
    return tuple(copies)


def _directories(handle: str) -> dict[str, Path]:
    """Return the directory of each form of a module's URL. Raise `OutputError`."""
    urls = [f"{SITE}{handle}{query}" for query in _QUERIES]
    try:
        return {url: Path(compressed_module_resolver._module_dir(url)) for url in urls}
    except (OSError, tf.errors.OpError) as error:
        raise _unwritable("The cache of tensorflow_hub", error) from error


def _unwritable(what: Path | str, error: Exception) -> OutputError:
    return OutputError(f"{what} can't be written: {tf_errors.summarize_tf_error(error)}")
