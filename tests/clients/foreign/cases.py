"""The verdicts: which modules pass as what, and which checks exactly refuse the others."""

import dataclasses

from clients.foreign import recipes

FEATURES, CLASSES = "image_feature_vector", "image_classification"
V1_1, V1_3, V2_1, V2_3 = (
    f"google/imagenet/{network}/classification/{version}"
    for network in ("inception_v1", "inception_v2")
    for version in (1, 3)
)
V1_FEATURES_1, V1_FEATURES_3, V1_FEATURES_5 = (
    f"google/imagenet/inception_v1/feature_vector/{version}" for version in (1, 3, 5)
)
V2_FEATURES_3 = "google/imagenet/inception_v2/feature_vector/3"

# What finds a layer of classes, or of features, that has another size.
OTHER_SIZE = {"signature-outputs", "default-output", "output-shapes", "variables"}
# What finds another network.
OTHER_NETWORK = {"signature-outputs", "variables", "regularization-losses"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A module, what it is checked as, and the verdict.

    Attributes:
      origin: who wrote it; a key of the fixture `written`.
      module: its name there.
      like: a handle, or a common signature.
      failed: ids of the checks that fail; none for a good module.
      classes: number of classes that it is said to have.
    """

    origin: str
    module: str
    like: str
    failed: frozenset[str] = frozenset()
    classes: int | None = None

    @property
    def slow(self) -> bool:
        common = self.like in (FEATURES, CLASSES)
        return self.module in recipes.SLOW_SLIM or (self.origin == "slim" and common)

    @property
    def name(self) -> str:
        classes = "" if self.classes is None else f"-of-{self.classes}"
        return (
            f"{self.origin}-{self.module}{classes}-as-{self.like.removeprefix('google/imagenet/')}"
        )


def _refused(origin: str, module: str, like: str, *failed: str) -> Case:
    return Case(origin, module, like, frozenset(failed))


CASES = (
    # Drop-ins for a handle.
    Case("slim", "v1-classification-1", V1_1),
    Case("slim", "v1-classification-3", V1_3),
    Case("slim", "v1-feature-vector-1", V1_FEATURES_1),
    Case("slim", "v2-classification-1", V2_1),
    Case("slim", "v2-classification-3", V2_3),
    Case("slim", "v2-feature-vector-3", V2_FEATURES_3),
    Case("slim", "unfused", V1_3),
    Case("slim", "labelled", V1_3),
    Case("slim", "labelled", V1_3, classes=17),
    Case("slim", "seventeen", V1_3, classes=17),
    Case("fine-tuned", "slim", V1_3),
    Case("fine-tuned", "slimhub", V1_FEATURES_3),
    Case("slimhub", "1", V1_FEATURES_1),
    Case("slimhub", "3", V1_FEATURES_3),
    Case("slimhub", "5", V1_FEATURES_5),
    # Modules with a common signature, which says nothing of networks.
    Case("slim", "v1-classification-1", FEATURES),
    Case("slim", "v1-classification-3", FEATURES),
    Case("slim", "v1-classification-3", CLASSES),
    Case("slim", "seventeen", CLASSES),
    Case("slim", "missing-end-point", CLASSES),
    Case("slim", "fixed-size", CLASSES),
    # Not every module can be trained.
    Case("slim", "inference-only", FEATURES),
    Case("slimhub", "3", FEATURES),
    Case("slimhub", "5", FEATURES),
    Case("three-layers", "3", FEATURES),
    Case("saved-model", "keras-features", FEATURES),
    Case("saved-model", "keras-logits", CLASSES),
    Case("saved-model", "by-hand", FEATURES),
    # Modules that were broken, each in one way.
    _refused("slim", "missing-end-point", V1_3, "signature-outputs"),
    _refused("slim", "not-rescaled", V1_3, "image-range"),
    _refused("slim", "bgr", V1_3, "image-range"),
    _refused("slim", "momentum", V1_3, "moving-averages"),
    _refused("slim", "not-attached", V1_3, "attachment"),
    _refused("slim", "batch-statistics", V1_3, "batch-independence"),
    _refused("slim", "probabilities", V1_3, "logits"),
    _refused("slim", "inference-only", V1_3, "tag-sets"),
    _refused("slim", "updates", V1_3, "update-ops"),
    _refused("slim", "fixed-size", V1_3, "signature-inputs", "image-sizes"),
    _refused(
        *("slim", "float64", V1_3, "signature-inputs", "signature-outputs", "default-output"),
        *("output-shapes", "variables"),
    ),
    _refused("slim", "seventeen", V1_3, *OTHER_SIZE),
    # Good modules as something else. Version 3 has all the signatures of version 1, and more.
    _refused("slim", "v1-classification-3", V2_3, *OTHER_NETWORK),
    _refused(
        *("slim", "v1-classification-3", V1_1, "signature-inputs", "signature-outputs"),
        *("image-sizes", "moving-averages"),
    ),
    # Its images are of 32 x 32.
    _refused("three-layers", "3", V1_FEATURES_3, *OTHER_NETWORK, *OTHER_SIZE, "attachment"),
    # What a common signature needs nevertheless.
    _refused("slim", "not-attached", FEATURES, "attachment"),
    _refused("slim", "batch-statistics", FEATURES, "batch-independence"),
    _refused("slim", "probabilities", CLASSES, "logits"),
    _refused("slim", "updates", FEATURES, "update-ops"),
    _refused("saved-model", "keras-probabilities", CLASSES, "logits"),
    _refused("saved-model", "by-hand-batch-statistics", FEATURES, "batch-independence"),
    # It normalizes by the averages that it has just moved, and so by what other images are like.
    _refused("saved-model", "by-hand-updates", FEATURES, "moving-averages", "batch-independence"),
    # hub.KerasLayer finds none.
    _refused("saved-model", "by-hand-tf-module", FEATURES, "variables"),
)
