"""Fixtures that all tests share."""

import logging
import os
import re
import sys
from pathlib import Path

import division
import ids
import pytest
import steady  # noqa: F401  settings of Hypothesis
import yaml

from equitune.run import progress

ROOT = Path(__file__).resolve().parents[1]

# What the user of this machine has set up is neither for the tests nor for processes they start
USERS_OWN = re.compile(
    "(https?|all|no)_proxy|(HF|HUGGINGFACE|TRANSFORMERS|SNAKEMAKE|GIT)_.*"
    "|MPLBACKEND|MATPLOTLIBRC|PYTHONUNBUFFERED",
    re.IGNORECASE,
)


def of_any_machine(environment):
    """Take the user's own settings out, and GPUs that are not named: tests would wait for one."""
    for name in filter(USERS_OWN.fullmatch, list(environment)):
        del environment[name]
    environment.setdefault("CUDA_VISIBLE_DEVICES", "")
    environment.setdefault("OMP_NUM_THREADS", "1")  # as make sets it


of_any_machine(os.environ)


def pytest_collection_modifyitems(items):
    """Begin with the tests that take longest."""
    items.sort(key=lambda item: division.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Divide the tests among processes."""
    return division.scheduling(config, log)


def pytest_make_parametrize_id(val, argname):
    """Name what has a text of its own, and refuse the rest: test ids are the same everywhere."""
    name = ids.name(val)
    if name is None:
        raise pytest.UsageError(
            f"{argname} has a value without an id, of type {type(val).__name__}: processes may "
            "not agree on its text; write pytest.param(..., id=...) or ids=..."
        )
    # control characters and other alphabets as pytest writes them
    return None if isinstance(val, str) else name


@pytest.fixture(scope="session")
def any_machine():
    """What makes an environment the same on every machine."""
    return of_any_machine


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
def _own_compiler():
    """What torch.compile remembers, such as a limit of compilations, is of one test alone."""
    if compiler := sys.modules.get("torch._dynamo"):
        compiler.reset()


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


@pytest.fixture(scope="module")
def default(root):
    return yaml.safe_load((root / "config" / "config.yaml").read_text())
