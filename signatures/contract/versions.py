"""The versions of the contract, as data: what distinguishes each from the others.

The facts come from the modules that were published as `google/imagenet/...`. Where no public source
shows a fact, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Mapping

from slimhub.signatures.contract.formats import TF1_HUB, TF2_SAVED_MODEL, Format
from slimhub.signatures.contract.network import TensorSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """A version of the contract.

    Attributes:
      format: format of the module's files.
      any_image_size: whether modules take images of any size; if not, only the network's default size.
      momentum: default of batch norm's momentum; None for the network's own decay.
      settable_momentum: whether networks with batch norm have signatures `..._with_bn_hparams`, which
        take the momentum as an input.
      image_module_info: whether the default image size is attached to the module.
      signatures: whether modules have signatures, beside the object that can be called.
      changes: what is new in the version, in words.
    """

    format: Format
    any_image_size: bool
    momentum: float | None
    settable_momentum: bool
    image_module_info: bool
    signatures: bool
    changes: str

    def momentum_of(self, batch_norm_decay: float | None) -> tuple[float | None, TensorSpec | None]:
        """Return batch norm's default momentum, and the input that sets it; None for what is absent.

        Args:
          batch_norm_decay: the network's own decay; None without batch norm.
        """
        if batch_norm_decay is None:
            return None, None
        momentum = batch_norm_decay if self.momentum is None else self.momentum
        return momentum, BATCH_NORM_MOMENTUM if self.settable_momentum else None

    def images(self, image_size: tuple[int, int]) -> TensorSpec:
        """Return the input for images: float32 `[batch, height, width, 3]`, RGB in [0, 1]."""
        height, width = (None, None) if self.any_image_size else image_size
        return TensorSpec(name="hub_input/images:0", shape=(None, height, width, 3))


# There was never a version 2.
VERSIONS: Mapping[int, Version] = {
    1: Version(
        format=TF1_HUB,
        any_image_size=False,
        momentum=None,
        settable_momentum=False,
        image_module_info=False,
        signatures=True,
        changes="The first: images of one size; batch norm has the momentum that the network has in TF-Slim.",
    ),
    3: Version(
        format=TF1_HUB,
        any_image_size=True,
        momentum=0.99,
        settable_momentum=True,
        image_module_info=True,
        signatures=True,
        changes="Images of any size; batch norm's momentum is 0.99 for fine-tuning, and can be set. "
        "hub.Module needs tensorflow-hub 0.2.0 or later.",
    ),
    4: Version(
        format=TF2_SAVED_MODEL,
        any_image_size=True,
        momentum=0.99,
        settable_momentum=True,
        image_module_info=False,
        signatures=False,
        changes="A SavedModel of TensorFlow 2, which can be called and fine-tuned there, but has no "
        "signatures. hub.Module can't load it.",
    ),
    5: Version(
        format=TF2_SAVED_MODEL,
        any_image_size=True,
        momentum=0.99,
        settable_momentum=True,
        image_module_info=False,
        signatures=True,
        changes="Version 4 with signatures: serving_default, and all that version 3 has.",
    ),
}
# The versions below prefixes that have their own. Those of a preview for TensorFlow 2 before 4 were
# broken, so there is only that one. No public source shows whether its momentum can be set and whether
# it gives end points: chosen here, as in version 4 of `google/imagenet`.
SERIES: Mapping[str, Mapping[int, Version]] = {
    "google/tf2-preview": {
        4: dataclasses.replace(
            VERSIONS[4],
            any_image_size=False,
            changes="A SavedModel of TensorFlow 2, which can be called and fine-tuned there, for images of "
            "one size.",
        ),
    },
}


def below(prefix: str | None) -> Mapping[int, Version]:
    """Return the versions of the modules whose handles begin with a prefix."""
    return SERIES.get(prefix or "", VERSIONS)


# The name is chosen here: no public source shows the original's.
BATCH_NORM_MOMENTUM = TensorSpec(name="hub_input/batch_norm_momentum:0", shape=())
