"""Progress: a bar on a terminal, plain lines elsewhere."""

import io
import logging
import sys

import pytest
import torch

from equitune.run import progress
from equitune.run.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by four seconds at each look."""
    now = iter(range(0, 100_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))


@pytest.mark.usefixtures("clock")
def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(caplog):
    with caplog.at_level(logging.INFO), Progress("add_jump LSTM", 10) as shown:
        for step in range(1, 11):
            shown.note(loss=torch.tensor(0.5))
            shown.advance(step)
    lines = caplog.messages
    assert 3 <= len(lines) <= 6
    assert lines[0].startswith("add_jump LSTM  ")
    assert "loss 0.5" in lines[0]
    assert "s left" in lines[0]
    assert lines[-1] == "add_jump LSTM  ████████████████████ 100%  step 10/10  loss 0.5"


def test_a_terminal_gets_a_bar_unless_it_is_not_wanted(monkeypatch, caplog):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO), Progress("here", 20) as shown:
        shown.note(loss=0.25)
        shown.advance(20)
    assert "20/20" in terminal.getvalue()
    assert "loss=0.25" in terminal.getvalue()
    assert caplog.messages == []
    progress.use_bars(False)
    with caplog.at_level(logging.INFO), Progress("here", 20) as shown:
        shown.advance(20)
    assert len(caplog.messages) == 1


def test_a_resumed_run_starts_where_it_was(caplog):
    with caplog.at_level(logging.INFO), Progress("again", 10, start=6) as shown:
        assert "step 6/10" in shown.line()
        shown.advance(10)
    assert "step 10/10" in caplog.messages[-1]


def test_a_loop_that_fails_does_not_say_it_is_done(caplog):
    with pytest.raises(ValueError, match="no"), caplog.at_level(logging.INFO), Progress("x", 3):
        raise ValueError("no")
    assert caplog.messages == []
