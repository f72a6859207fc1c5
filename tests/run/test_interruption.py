"""Requests to stop: held back where work can be kept, obeyed at once elsewhere."""

import os
import signal
import time

import pytest

from equitune import cli
from equitune.run import interruption


@pytest.fixture(autouse=True)
def own_handlers(monkeypatch):
    """Signals go back to where they went, and no deadline outlives the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(interruption, "_deadline", None)
    interruption.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0)  # handlers run between two instructions


def test_sigterm_stops_at_once_where_nothing_can_be_kept():
    with pytest.raises(interruption.Interrupted, match="SIGTERM asks it to stop"):
        send(signal.SIGTERM)


def test_a_request_is_no_ordinary_error():
    assert not issubclass(interruption.Interrupted, Exception)


def test_signals_are_held_back_and_told_when_asked():
    with interruption.deferred():
        assert interruption.reason() is None
        send(signal.SIGTERM)
        send(signal.SIGTERM)  # schedulers send it more than once
        assert interruption.reason() == "SIGTERM asks it to stop"
    assert interruption.reason() is None  # the work was finished


def test_sigint_is_held_back_once():
    with interruption.deferred():
        send(signal.SIGINT)
        assert interruption.reason() == "SIGINT asks it to stop"
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_blocks_within_blocks_hold_back_until_the_outermost_ends():
    with interruption.deferred():
        with interruption.deferred():
            send(signal.SIGTERM)
        assert interruption.reason() == "SIGTERM asks it to stop"


def test_the_end_of_the_time_is_a_reason(monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    interruption.allot(60)
    now += 3538.0
    assert interruption.reason() is None
    now += 3.0  # a minute of an hour is kept free
    assert interruption.reason() == "its time is nearly over"


def test_a_tenth_of_a_short_time_is_kept_free(monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    interruption.allot(1)
    now += 53.0
    assert interruption.reason() is None
    now += 2.0
    assert interruption.reason() == "its time is nearly over"


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_no_time_is_an_error(minutes):
    with pytest.raises(ValueError, match=f"minutes is {minutes}: expected a positive number"):
        interruption.allot(minutes)


def test_a_command_that_is_stopped_while_it_reads_its_options_goes_on_later(monkeypatch, capsys):
    def stopped(_):
        send(signal.SIGTERM)

    monkeypatch.setattr(cli.typer.main, "get_command", stopped)
    assert cli.run(["config", "docs"]) == interruption.EXIT_CODE
    assert capsys.readouterr().err == "equitune: stopped: SIGTERM asks it to stop\n"


def test_an_error_in_the_place_of_the_interruption_is_none(monkeypatch, capsys):
    """As of a library that calls Python from C and takes whatever is raised for its own failure."""

    def replaced(_):
        try:
            send(signal.SIGTERM)
        except interruption.Interrupted:
            raise ValueError("data.safetensors is truncated") from None

    monkeypatch.setattr(cli.typer.main, "get_command", replaced)
    assert cli.run(["config", "docs"]) == interruption.EXIT_CODE
    assert capsys.readouterr().err == "equitune: stopped: SIGTERM asks it to stop\n"

    def wrong(_):
        raise ValueError("of another kind")

    monkeypatch.setattr(cli.typer.main, "get_command", wrong)
    assert cli.run(["config", "docs"]) == 1  # the next command has not been interrupted
    assert capsys.readouterr().err == "equitune: error: of another kind\n"


def test_a_signal_before_the_command_begins_is_no_error(monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # main sets it, for good
    monkeypatch.setattr(cli, "run", lambda _: send(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == interruption.EXIT_CODE
    assert capsys.readouterr().err == "equitune: stopped: SIGTERM asks it to stop\n"
