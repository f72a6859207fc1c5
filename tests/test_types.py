"""The package's annotations hold."""

import subprocess
import sys

import pytest


def test_mypy_finds_nothing(root):
    """Half a minute: `make test` runs it here, beside other tests, and `make lint` by itself."""
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
