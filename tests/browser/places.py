"""The pages that the browser looks at, and its screens."""

import dataclasses

NETWORK = "google/imagenet/inception_v1"
# One of each version.
MODULES = tuple(
    f"{NETWORK}/{end}" for end in ("classification/3", "feature_vector/1", "feature_vector/5")
)
# A module with a flipped byte, and one that may not be run.
DAMAGED = "google/imagenet/damaged/feature_vector/3"
UNDRAWN = "google/imagenet/undrawn/feature_vector/3"
HANDLES = (DAMAGED, *MODULES, UNDRAWN)
MISSING = f"{NETWORK}/feature_vector/2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Screen:
    """A screen: its width in CSS pixels, and the colours that the user prefers."""

    width: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


PHONE, DESK = Screen(width=400, scheme="light"), Screen(width=1280, scheme="dark")
SCREENS = (PHONE, DESK)
