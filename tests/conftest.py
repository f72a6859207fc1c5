"""Fixtures that all tests share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root():
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """The folder beside the project with published data, for comparison; not needed otherwise."""
    folder = ROOT.parent / "shared"
    if not (folder / "mirror").is_dir():
        pytest.skip("no ../shared/mirror here: nothing to compare with")
    return folder
