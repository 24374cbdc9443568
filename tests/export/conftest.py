"""Fixtures of tests that run the exporter's command lines."""

import pytest
from workplace import Workplace


@pytest.fixture
def place(tmp_path) -> Workplace:
    return Workplace(tmp_path / "place")
