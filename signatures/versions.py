"""What each version of the contract has of its own, as data.

The facts are those of the modules that were published as `google/imagenet/...`; where
no public source shows one, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Mapping

from slimhub.signatures.formats import TF1_HUB, TF2_SAVED_MODEL, Format
from slimhub.signatures.interface import TensorSpec

# First name of the handles whose versions are those of the contract: code has them from elsewhere.
PUBLISHER = "google"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """What distinguishes one version from the others.

    Attributes:
      format: of its files.
      any_image_size: else the network's default size only.
      momentum: default of batch norm's momentum; None for the network's own decay.
      settable_momentum: whether it is an input, of the signatures `..._with_bn_hparams`, in networks
        with batch norm.
      image_module_info: whether the default image size is attached.
      changes: what was new in it.
    """

    format: Format
    any_image_size: bool
    momentum: float | None
    settable_momentum: bool
    image_module_info: bool
    changes: str

    def momentum_of(self, batch_norm_decay: float | None) -> tuple[float | None, TensorSpec | None]:
        """Batch norm's momentum by default, and the input that sets it; None for what there is not.

        Args:
          batch_norm_decay: the network's own; None if it has no batch norm.
        """
        if batch_norm_decay is None:
            return None, None
        momentum = batch_norm_decay if self.momentum is None else self.momentum
        return momentum, BATCH_NORM_MOMENTUM if self.settable_momentum else None

    def images(self, image_size: tuple[int, int]) -> TensorSpec:
        """The images: RGB in [0, 1]."""
        height, width = (None, None) if self.any_image_size else image_size
        return TensorSpec(name="hub_input/images:0", shape=(None, height, width, 3))


# There was never a version 2. Version 4 is version 5 without `serving_default`.
VERSIONS: Mapping[int, Version] = {
    1: Version(
        format=TF1_HUB,
        any_image_size=False,
        momentum=None,
        settable_momentum=False,
        image_module_info=False,
        changes="The first: images of one size; batch norm has the momentum that the network has in TF-Slim.",
    ),
    3: Version(
        format=TF1_HUB,
        any_image_size=True,
        momentum=0.99,
        settable_momentum=True,
        image_module_info=True,
        changes="Images of any size; batch norm's momentum is 0.99 for fine-tuning, and can be set. "
        "hub.Module needs tensorflow-hub 0.2.0 or later.",
    ),
    5: Version(
        format=TF2_SAVED_MODEL,
        any_image_size=True,
        momentum=0.99,
        settable_momentum=True,
        image_module_info=False,
        changes="A SavedModel of TensorFlow 2, which can be fine-tuned there; serving_default, and all "
        "that version 3 has.",
    ),
}

# The name is chosen here: no public source shows the original's.
BATCH_NORM_MOMENTUM = TensorSpec(name="hub_input/batch_norm_momentum:0", shape=())
