"""What the browser looks at: each kind of page, and screens."""

import dataclasses

NETWORK = "google/imagenet/inception_v1"
MODULES = tuple(
    f"{NETWORK}/{task}/{version}"
    for task in ("classification", "feature_vector")
    for version in (1, 3, 5)
)
# A module with a flipped byte, and one that may not be run.
DAMAGED = "google/imagenet/damaged/feature_vector/3"
UNDRAWN = "google/imagenet/undrawn/feature_vector/3"
HANDLES = (DAMAGED, *MODULES, UNDRAWN)
MISSING = f"{NETWORK}/feature_vector/4"

# Paths by the kind of page.
PAGES = {
    "index": "",
    "listing": NETWORK,
    **{f"version-{handle[-1]}": handle for handle in MODULES[:3]},
    "undrawn": UNDRAWN,
    "damaged": DAMAGED,
    "missing": MISSING,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Screen:
    """How a page is shown: CSS pixels, and the colours that the user prefers."""

    width: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


SCREENS = tuple(
    Screen(width=width, scheme=scheme) for width in (400, 1280) for scheme in ("light", "dark")
)
PHONE, DESK = SCREENS[0], SCREENS[2]
