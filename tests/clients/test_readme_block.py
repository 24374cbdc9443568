"""README.md's block for TensorFlow 1, where `hub.Module` still exists; the others run in `make test`."""

import pytest
import readme
from clients import consumer


@pytest.mark.client("hub.Module", "the README's block")
@pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)
def test_block(environment, row, module, tmp_path):
    """The block runs, and gives features, the updates and the losses."""
    [code] = readme.blocks("TensorFlow 1", "python")
    row.modules.append(3)
    shows = "\nprint(height, width, features.shape, len(updates), len(losses))"
    directory = readme.checkout(code, module=module, into=tmp_path)
    shown = consumer.command(environment, "python", "-c", code + shows, cwd=directory)
    assert shown.split("\n")[-2] in ("224 224 (?, 1024) 136 68", "224 224 (None, 1024) 136 68")
