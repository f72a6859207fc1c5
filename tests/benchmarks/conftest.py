"""The scripts of benchmarks/ as modules; they stand beside one another, outside the package."""

import importlib

import pytest


@pytest.fixture(scope="session")
def script(root):
    """Import a script by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        yield importlib.import_module
