"""Fixtures that all tests share."""

import logging
from pathlib import Path

import pytest

from equitune import progress

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


@pytest.fixture(autouse=True)
def _own_terminal():
    """What a command sets up for its process, log and bars, ends with the test that ran it."""
    loggers = logging.getLogger(), logging.getLogger("equitune")
    levels, handlers = [each.level for each in loggers], loggers[0].handlers[:]
    yield
    for handler in set(loggers[0].handlers) - set(handlers):
        handler.close()
    loggers[0].handlers[:] = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)
    progress.use_bars(True)
