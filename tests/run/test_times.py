"""Where a command's seconds go: the last line of its log."""

import builtins
import gc
import sys
import time

import pytest

from equitune import cli
from equitune.run import times
from equitune.run.clock import Clock
from equitune.run.loop import History

SLOW = "import time\ntime.sleep(0.2)\n"


@pytest.fixture
def slow_module(tmp_path, monkeypatch):
    """A module whose import sleeps, and which imports another that does."""
    (tmp_path / "slow_inner.py").write_text(SLOW)
    (tmp_path / "slow_outer.py").write_text(f"{SLOW}import slow_inner\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("slow_inner", "slow_outer"):
        sys.modules.pop(name, None)


def seconds():
    return times.read(times.line())


def test_an_import_inside_an_import_is_counted_once(slow_module):
    before = builtins.__import__
    began = time.monotonic()
    with times.counted():
        import slow_outer  # noqa: F401
    assert 0.4 <= seconds()["imports"] <= time.monotonic() - began + 0.01
    assert builtins.__import__ is before


def test_each_command_is_counted_by_itself(slow_module):
    with times.counted():
        import slow_inner  # noqa: F401
    with times.counted():
        pass
    assert seconds()["imports"] == 0


def test_an_import_that_fails_leaves_the_next_to_be_counted(slow_module):
    with times.counted():
        with pytest.raises(ModuleNotFoundError):
            import no_such_module_at_all  # noqa: F401
        import slow_inner  # noqa: F401
    assert seconds()["imports"] >= 0.2


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_rests_while_modules_are_imported(tmp_path, monkeypatch, collects):
    (tmp_path / "asks_gc.py").write_text("import gc\nWORKS = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "asks_gc", raising=False)
    if not collects:
        gc.disable()
    try:
        with times.counted():
            import asks_gc
        assert not asks_gc.WORKS
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def test_steps_of_training_are_those_of_this_process(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    history = History()
    history.seconds = 50.0  # of the process before
    with times.counted():
        clock = Clock(history)
        now[0] += 3
        clock.tick()
        with clock.paused():
            now[0] += 10
        now[0] += 4
        clock.tick()
    assert history.seconds == 57
    assert seconds()["training"] == 7


def test_a_log_ends_with_the_seconds(tmp_path):
    log = tmp_path / "split.log"
    files = ["--train", str(tmp_path / "train.txt"), "--test", str(tmp_path / "test.txt")]
    assert cli.run(["--log", str(log), "scan", "split", "add_jump", *files]) == 0
    assert set(times.read(log.read_text())) == set(times.KINDS)
    assert log.read_text().splitlines()[-1].startswith("seconds {")


def test_a_log_without_them_has_none():
    assert times.read("an error\n") == {}
