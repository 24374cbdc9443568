"""Facts that the published checkpoints have in common."""

from typing import Any

from slimhub.models.model import Archive

# TF-Slim publishes its checkpoints here.
STORAGE = "https://storage.googleapis.com/download.tensorflow.org/models/"
# Open Model Zoo mirrors the same bytes: its records have the same SHA-256.
MIRROR = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/public/2022.1/"

LABELS_URL = "https://storage.googleapis.com/download.tensorflow.org/data/ImageNetLabels.txt"

# Inception and ResNet V2 were trained with TF-Slim.
FROM_SLIM: dict[str, Any] = dict(
    # Google published modules made from these checkpoints under this prefix.
    handle_prefix="google/imagenet",
    # From `inception_preprocessing` of the TF-Slim image classification library.
    input_scale=2.0,
    input_offsets=(1.0,),
    num_classes=1001,
    background=True,
    labels='Class 0 is "background"; 1 to 1000 are the classes of ILSVRC-2012-CLS, in the order of '
    + LABELS_URL,
    origin="They were trained with TF-Slim. Google made the modules of that name from them.",
)

# ResNet V1 and VGG have the weights of the papers' authors, converted from Caffe.
FROM_CAFFE: dict[str, Any] = dict(
    # Not Google's prefix: Google published no modules with these weights.
    handle_prefix="slim/imagenet",
    image_size=(224, 224),
    input_scale=255.0,
    # Means of R, G and B, from `vgg_preprocessing` of the TF-Slim image classification library.
    input_offsets=(123.68, 116.78, 103.94),
    num_classes=1000,
    background=False,
    labels="Classes 0 to 999 are those of ILSVRC-2012-CLS, without a background class: class 0 is the "
    "second line of " + LABELS_URL,
)


def archive(
    name: str,
    *,
    max_member_bytes: int,
    date: str = "2016_08_28",
    mirror: str | None = None,
    num_bytes: int | None = None,
    sha256: str | None = None,
) -> Archive:
    """Return the record of a network's published archive.

    Args:
      name: name of the network.
      max_member_bytes: largest size that the checkpoint may unpack to.
      date: date in the name of the archive.
      mirror: folder of the archive in Open Model Zoo; None if it isn't mirrored.
      num_bytes, sha256: size and SHA-256 (hex) of the archive; None if nobody published them.
    """
    file = f"{name}_{date}.tar.gz"
    mirrored = () if mirror is None else (f"{MIRROR}{mirror}/{file}",)
    return Archive(
        name=file,
        member=f"{name}.ckpt",
        urls=(STORAGE + file, *mirrored),
        num_bytes=num_bytes,
        sha256=sha256,
        max_member_bytes=max_member_bytes,
    )
