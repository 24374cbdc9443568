"""Handles of modules, by which programs name them: `google/imagenet/inception_v1/feature_vector/3`."""

import dataclasses
import re

# First part of the handles whose versions are versions of the contract: existing code relies on these.
PUBLISHER = "google"
# A part of a handle, as a regular expression.
PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
# The site of TF Hub, which programs that name a module by its URL have before the handle.
SITE = "https://tfhub.dev/"

_SITE = re.compile(r"https?://tfhub\.dev/")
_FORMAT = re.compile(r"\?tf-hub-format=\w+$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handle:
    """A handle, `<prefix>/<model>/<task>/<version>`.

    Attributes:
      prefix: `google/imagenet`; empty if there is none.
      model: name of the network.
      task: such as `feature_vector`.
      version: number of the version.
    """

    prefix: str
    model: str
    task: str
    version: int

    def __str__(self) -> str:
        return "/".join(filter(None, (self.prefix, self.model, self.task, str(self.version))))


def parse(text: str) -> Handle:
    """Split a handle, which may be the URL of a module on TF Hub. Raise `ValueError` if it is none."""
    path = _FORMAT.sub("", _SITE.sub("", text, count=1)).rstrip("/")
    found = re.fullmatch(rf"(?:((?:{PART}/)*{PART})/)?({PART})/({PART})/([1-9]\d{{0,8}})", path)
    if found is None:
        raise ValueError(
            f"expected a handle, PREFIX/NETWORK/TASK/VERSION, such as "
            f"{PUBLISHER}/imagenet/inception_v1/feature_vector/4, got {text!r}"
        )
    prefix, model, task, version = found.groups(default="")
    return Handle(prefix=prefix, model=model, task=task, version=int(version))
