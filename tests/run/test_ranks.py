"""Two ranks on this machine's CPU train as one process does."""

import json
import os
import socket
import subprocess
import sys

import pytest
import small_ranks
import torch
from torch import nn

from equitune import actions
from equitune.run import ranks

CLOSE = {"atol": 1e-6, "rtol": 0}


@pytest.fixture(scope="module")
def both(root, tmp_path_factory):
    """What two ranks found, and what they said."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", root / "tests/small_ranks.py", folder],
            env=os.environ
            | world
            | {"RANK": str(place), "LOCAL_RANK": str(place), "MASTER_PORT": str(port)}
            | {"PYTHONPATH": str(root)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in range(2)
    ]
    try:
        ends = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(ends)
    found = [torch.load(folder / f"{place}.pt") for place in range(2)]
    return found, [json.loads((folder / f"{place}.json").read_text()) for place in range(2)]


@pytest.mark.parametrize("name", ["plain", "parts", "chunks"])
def test_the_loss_curve_is_that_of_one_process(both, name):
    alone = getattr(small_ranks, name)()
    first = both[0][0][name]
    assert list(first["loss"]) == list(alone["loss"]) == list(range(1, small_ranks.STEPS + 1))
    assert first["loss"] == pytest.approx(alone["loss"], abs=1e-6)
    assert first["validation"] == pytest.approx(alone["validation"], abs=1e-6)
    assert first["examples"] == alone["examples"]
    torch.testing.assert_close(first["weights"], alone["weights"], **CLOSE)


def test_parts_of_a_step_are_the_step():
    plain, parts = small_ranks.plain(), small_ranks.parts()
    assert parts["loss"] == pytest.approx(plain["loss"], abs=1e-6)
    assert plain["loss"][1] - plain["loss"][small_ranks.STEPS] > 0.01


@pytest.mark.parametrize("name", ["plain", "parts", "half", "resumed", "normalised"])
def test_all_ranks_end_with_the_same_weights(both, name):
    first, second = (found[name] for found in both[0])
    assert first["loss"] == second["loss"]
    for key, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][key]), key


def test_a_killed_training_of_two_ranks_ends_with_the_same_bits(both):
    whole, resumed = (both[0][0][name] for name in ("whole", "resumed"))
    assert resumed["resumed_at"] == 4
    assert resumed["loss"] == whole["loss"]
    for key, weight in whole["weights"].items():
        assert torch.equal(weight, resumed["weights"][key]), key


def test_ranks_draw_dropout_of_their_own(both):
    alone = small_ranks.whole()
    assert both[0][0]["whole"]["loss"][1] != pytest.approx(alone["loss"][1], abs=1e-4)


def test_autocast_rounds_and_is_no_other_training(both):
    plain, half = (both[0][0][name]["loss"] for name in ("plain", "half"))
    assert plain != pytest.approx(half, abs=1e-6)
    assert plain == pytest.approx(half, abs=0.05)


def test_batch_norm_keeps_the_statistics_of_the_first_ranks_copies(both):
    rotate = actions.Rotate90()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(small_ranks.ROWS, generator=generator)[:4]  # of a batch of 4 + 3
    model = small_ranks.network(nn.BatchNorm2d(3))
    with torch.no_grad():
        inside = model.module[0](
            torch.cat([rotate(g, small_ranks.data()[0][rows]) for g in range(4)])
        )
    for _, one in enumerate(both[0]):
        weights = one["normalised"]["weights"]
        mean, variance = (weights[f"module.1.running_{what}"] for what in ("mean", "var"))
        torch.testing.assert_close(mean, 0.1 * inside.mean((0, 2, 3)))
        torch.testing.assert_close(variance, 0.9 + 0.1 * inside.var((0, 2, 3)))


def test_sharded_weights_take_the_steps_of_whole_ones(both):
    alone = small_ranks.by_hand(small_ranks.network())
    for one in both[0]:
        torch.testing.assert_close(one["sharded"], alone, **CLOSE)


@pytest.mark.parametrize("name", ["plain", "parts", "chunks", "sgd", "half"])
def test_the_loop_trains_divided_weights_as_whole_ones(both, name):
    """Of a network with blocks, by AdamW, so that the optimizer has a state of two tensors."""
    alone = small_ranks.deep(name)
    for one in both[0]:
        found = one["divided"][name]
        assert found["loss"] == pytest.approx(alone["loss"], abs=1e-6 if name != "half" else 1e-3)
        assert found["validation"] == pytest.approx(alone["validation"], abs=1e-3)
        close = CLOSE if name != "half" else {"atol": 2e-2, "rtol": 0}
        torch.testing.assert_close(found["weights"], alone["weights"], **close)
        assert found["kinds"] == alone["kinds"]
        assert found["held"] < 0.6 * alone["held"]


def test_a_killed_training_of_divided_weights_ends_with_the_same_bits(both):
    for one in both[0]:
        whole, resumed = one["divided"]["whole"], one["divided"]["resumed"]
        assert resumed["resumed_at"] == 4
        assert resumed["loss"] == whole["loss"]
        for key, weight in whole["weights"].items():
            assert torch.equal(weight, resumed["weights"][key]), key


def test_patience_keeps_the_best_of_divided_weights(both):
    alone = small_ranks.deep("patient")
    assert 0 < alone["kept"] < small_ranks.STEPS
    for one in both[0]:
        assert one["divided"]["patient"]["kept"] == alone["kept"]
        torch.testing.assert_close(one["divided"]["patient"]["weights"], alone["weights"], **CLOSE)


def test_what_ranks_say(both):
    first, second = both[1]
    assert first["stopped"].startswith("training: another rank is asked to stop, at step 3 of 9")
    assert second["stopped"].startswith("training: SIGTERM asks it to stop, at step 3 of 9")
    for said in (first, second):
        assert said["small"] == (
            "batch_size is 3 for 2 ranks of 2 parts: expected 4 or more, as each part of a step "
            "needs a row"
        )
        assert said["again"].startswith("the weights of this model were divided among the ranks be")
        assert said["float16"].startswith("training.shard is true with precision float16: expected")
        assert "a step of several ranks is not done again with fewer copies" in said["full"]


@pytest.mark.parametrize("pieces", [1, 2, 3, 5])
def test_weighted_losses_of_parts_add_up_to_the_loss_of_the_batch(pieces):
    terms = torch.tensor([3.0, 1.0, 2.0, 5.0], dtype=torch.float64)
    values = torch.tensor([0.3, 2.0, -1.0, 7.0], dtype=torch.float64)
    batch = torch.tensor([2, 0, 3])

    def loss(rows):
        return float((values[rows] * terms[rows]).sum() / terms[rows].sum())

    parts = ranks.divide(batch, pieces, lambda rows: float(terms[rows].sum()))
    assert len(parts) == pieces
    assert sum(part.weight for part in parts) == pytest.approx(1, abs=1e-15)
    total = sum(part.weight * loss(part.rows) for part in parts)
    assert total == pytest.approx(loss(batch), abs=1e-14)


def test_more_parts_than_rows_are_one_line():
    with pytest.raises(ValueError, match="batch_size is 3 for 4 parts: expected 4 or more"):
        ranks.check_ranks(small_ranks.plan(batch_size=3, accumulate=4), "float32")


def test_synchronised_batch_norm_is_batch_norm_in_evaluation(both):
    """In training torch refuses it on a CPU, as docs/scale.md says."""
    model, other = small_ranks.network(nn.BatchNorm2d(3)), small_ranks.synchronised()
    x = small_ranks.data()[0]
    assert torch.equal(model.eval()(x), other.eval()(x))
    assert set(model.state_dict()) == set(other.state_dict())
    for said in both[1]:
        assert said["synchronised"].startswith("SyncBatchNorm layers only work with GPU")


def test_a_sharding_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match=r"launch without FSDP and set training\.shard to true"):
        ranks.SeveralRanks(torch.device("cpu"))


def test_one_process_imports_no_accelerate(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    small_ranks.plain()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'equitune\[scale\]'"):
        ranks.SeveralRanks(torch.device("cpu"))
