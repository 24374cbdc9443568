"""Writes the synthetic checkpoint of every model into a directory, as V1 files: <model>.ckpt."""

import sys
from pathlib import Path

from slimhub.export import checkpoint_archive, synthetic
from slimhub.models import catalog

directory = Path(sys.argv[1])
for model in catalog.MODELS:
    written = synthetic.write_archive(model, into=directory)
    checkpoint_archive.extract(
        written,
        member=model.archive.member,
        max_bytes=model.archive.max_member_bytes,
        into=directory,
    )
    written.unlink()
