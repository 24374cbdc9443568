"""Where `slimhub.signatures.scratch` was before."""

from slimhub.signatures.scratch import directory, temporary

__all__ = ["directory", "temporary"]
