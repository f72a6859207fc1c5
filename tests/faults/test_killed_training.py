"""Training that is killed several times ends with the weights and the table of one that was not."""

import itertools
import os
import random
import signal
import time

import pandas as pd
import pytest

KILLS = [3, pytest.param(10, marks=pytest.mark.slow)]
EXPERIMENTS = ["scan", "image", "language"]


def table(case, folder):
    """What evaluation makes of the trained model, the measured time left out."""
    if case.table.endswith(".csv"):
        return pd.read_csv(folder / case.table).drop(columns="train_seconds").to_csv()
    return (folder / case.table).read_text()


def finish(server, case, folder):
    """Train to the end, and evaluate."""
    assert server(case.train(folder)).wait() == 0
    for command in case.evaluate(folder):
        assert server(command).wait() == 0


def saved_or_done(folder):
    """Wait until training has written its state, or has ended."""
    # [!.]: not what is being written
    while not (any((folder / "states").glob("[!.]*.pt")) or (folder / "model").exists()):
        time.sleep(0.001)


@pytest.mark.parametrize("wanted", KILLS)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_kills_at_random_moments_change_no_bit(cases, server, tmp_path, name, wanted):
    case, moments = cases(name), random.Random(name)
    whole = tmp_path / "whole"
    finish(server, case, whole)
    began = time.monotonic()  # once more, with the server warm
    assert server(case.train(tmp_path / "timed")).wait() == 0
    seconds = time.monotonic() - began
    weights, expected = case.weights(whole), table(case, whole)
    kills, resumed, folders = 0, 0, (tmp_path / f"killed{n}" for n in itertools.count())
    while kills < wanted:
        folder = next(folders)  # one that ended before it was killed often enough is done anew
        for _ in range(wanted - kills):
            job = server(case.train(folder))
            if kills == wanted - 1:  # the last comes when there is something to resume from
                saved_or_done(folder)
            else:
                time.sleep(moments.uniform(0, 0.4 * seconds))
            number = moments.choice([signal.SIGKILL, signal.SIGTERM])
            os.kill(job.pid, number)
            code = job.wait()
            if code == 0:
                seconds /= 2  # the machine was busy when the time was taken
                break
            assert code == (-signal.SIGKILL if number == signal.SIGKILL else 75)
            kills += 1
        finish(server, case, folder)
        assert case.weights(folder) == weights
        assert table(case, folder) == expected
        assert list((folder / "states").iterdir()) == []
        resumed += case.manifest(folder)["resumed_at"] > 0
    assert resumed > 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_training_that_runs_out_of_time_keeps_its_state_and_goes_on(cases, server, tmp_path, name):
    case = cases(name)
    arguments = case.train(tmp_path, save_seconds=1e9)  # nothing else writes the state
    assert server(["--minutes", "0.000001", *arguments]).wait() == 75
    assert [x.suffix for x in (tmp_path / "states").iterdir()] == [".pt"]
    assert not (tmp_path / "model").exists()
    assert server(arguments).wait() == 0
    assert case.manifest(tmp_path)["resumed_at"] == 1
    assert list((tmp_path / "states").iterdir()) == []
