"""Fixtures that all tests share."""

import logging
from pathlib import Path

import pytest

from equitune import progress

ROOT = Path(__file__).resolve().parents[1]
# fixtures that cost much and are made once: the tests that use them go to one process
COSTLY = {"finished": "a finished run", "report": "a finished run", "cases": "trainings"}


def group_of(item):
    """Name the tests that one process runs: those of a file, or of a costly fixture."""
    names = [COSTLY[name] for name in COSTLY if name in item.fixturenames]
    return names[0] if names else item.path.relative_to(ROOT).as_posix()


def pytest_itemcollected(item):
    """Put a test into its group, where tests are divided among processes."""
    item.add_marker(pytest.mark.xdist_group(group_of(item)))


def pytest_collection_modifyitems(items):
    """Begin with the groups that take longest."""
    items.sort(key=lambda item: group_of(item) not in COSTLY.values())


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
