"""What the tests of the face share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mlruns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store for all: to make one takes longer than to use it."""
    return tmp_path_factory.mktemp("mlruns")
