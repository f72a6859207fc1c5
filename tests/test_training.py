"""The training loop: seeded, resumable at any step, and clear about what goes wrong."""

import logging

import pytest
import torch
from torch import nn

from equitune import training
from equitune.config import Training

ROWS, FEATURES, BATCH = 20, 3, 6  # an epoch of four batches, the last one shorter


def settings(**changes):
    values = {"steps": 11, "batch_size": BATCH, "learning_rate": 0.1, "schedule": "one_cycle"}
    return Training(**{**values, "save_seconds": 0, **changes})


class Killed(BaseException):
    """What a killed process would be, inside one process."""


def run(plan, state=None, seed=0, kill_at=None, validations=None, scores=None):
    """Train a small regression with dropout; stop hard when step kill_at begins."""
    data = torch.Generator().manual_seed(7)
    x = torch.randn(ROWS, FEATURES, generator=data)
    y = torch.randn(ROWS, 1, generator=data)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    steps = 0

    def loss(rows):
        nonlocal steps
        if kill_at is not None and steps == kill_at:
            raise Killed
        steps += 1
        return (model(x[rows]) - y[rows]).square().mean()

    def validate():
        assert not model.training
        if validations is not None:
            validations.append(steps)
        return 0.5 if scores is None else scores[steps]

    history = training.fit(
        model,
        plan,
        epoch=lambda generator: torch.randperm(ROWS, generator=generator).split(BATCH),
        loss=loss,
        validate=validate,
        seed=seed,
        state=state,
    )
    return torch.cat([p.detach().flatten() for p in model.parameters()]), history


@pytest.mark.parametrize("kill_at", [1, 3, 4, 5, 8, 10])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, kill_at, optimizer):
    plan = settings(optimizer=optimizer)
    whole, history = run(plan)
    state = tmp_path / "state.pt"
    with pytest.raises(Killed):
        run(plan, state, kill_at=kill_at)
    resumed, resumed_history = run(plan, state)
    assert resumed_history.resumed_at == kill_at
    assert resumed_history.examples == history.examples
    assert torch.equal(whole, resumed)


def test_a_run_killed_twice_still_ends_the_same(tmp_path):
    state, plan = tmp_path / "state.pt", settings()
    for kill_at in (3, 4):  # counted from where the run resumed
        with pytest.raises(Killed):
            run(plan, state, kill_at=kill_at)
    resumed, history = run(plan, state)
    assert history.resumed_at == 7
    assert torch.equal(run(plan)[0], resumed)


def test_the_seed_decides_the_weights():
    plan = settings()
    assert torch.equal(run(plan, seed=3)[0], run(plan, seed=3)[0])
    assert not torch.equal(run(plan, seed=3)[0], run(plan, seed=4)[0])


@pytest.mark.parametrize("damage", ["truncated", "foreign", "old"])
def test_an_unusable_state_is_named_and_training_starts_afresh(tmp_path, caplog, damage):
    state, plan = tmp_path / "state.pt", settings()
    with pytest.raises(Killed):
        run(plan, state, kill_at=5)
    if damage == "truncated":
        state.write_bytes(state.read_bytes()[:1000])
    elif damage == "foreign":
        state.write_text("not a state")
    else:
        torch.save({"version": 0}, state)
    with caplog.at_level(logging.WARNING):
        weights, history = run(plan, state)
    assert "training starts afresh" in caplog.text
    assert str(state) in caplog.text
    assert history.resumed_at == 0
    assert torch.equal(weights, run(plan)[0])


def test_states_of_other_settings_inputs_or_seeds_are_never_taken_up(tmp_path):
    paths = {
        training.state_path(tmp_path, settings(), {"seed": 0, "inputs": {"data": "a"}}),
        training.state_path(tmp_path, settings(), {"seed": 1, "inputs": {"data": "a"}}),
        training.state_path(tmp_path, settings(), {"seed": 0, "inputs": {"data": "b"}}),
        training.state_path(tmp_path, settings(learning_rate=0.2), {"seed": 0, "inputs": {}}),
    }
    assert len(paths) == 4
    same = [training.state_path(tmp_path, settings(), {"seed": 0}) for _ in range(2)]
    assert same[0] == same[1]


def test_finish_removes_the_state_and_forgives_a_missing_one(tmp_path):
    state = tmp_path / "state.pt"
    run(settings(), state)
    assert state.exists()
    training.finish(state)
    assert list(tmp_path.iterdir()) == []
    training.finish(state)


def test_validation_comes_at_its_interval_and_at_the_end():
    validations = []
    _, history = run(settings(validate_every=4), validations=validations)
    assert validations == [4, 8, 11]
    assert history.validation == {4: 0.5, 8: 0.5, 11: 0.5}
    assert history.examples == 20 + 20 + 18


SCORES = dict(
    zip(range(1, 12), (0.1, 0.3, 0.2, 0.5, 0.4, 0.5, 0.1, 0.9, 0.9, 0.9, 0.9), strict=True)
)


def test_patience_stops_when_nothing_gets_better_and_keeps_the_best_weights():
    plan = settings(validate_every=1, patience=3, schedule="constant")
    weights, history = run(plan, scores=SCORES)
    assert max(history.validation) == 7  # 4 was the first of the best, 5 to 7 were no better
    assert history.kept == 4
    four, _ = run(settings(steps=4, schedule="constant"))
    assert torch.equal(weights, four)


def test_without_patience_the_last_weights_are_kept():
    plan = settings(validate_every=1, schedule="constant")
    weights, history = run(plan, scores=SCORES)
    assert history.kept == 11
    assert torch.equal(weights, run(settings(schedule="constant"))[0])


@pytest.mark.parametrize("kill_at", [3, 5, 6])
def test_a_killed_run_keeps_its_best_weights_and_its_patience(tmp_path, kill_at):
    plan = settings(validate_every=1, patience=3)
    state = tmp_path / "state.pt"
    with pytest.raises(Killed):
        run(plan, state, kill_at=kill_at, scores=SCORES)
    # steps are counted anew in the process that resumes
    later = {step - kill_at: score for step, score in SCORES.items()}
    resumed, history = run(plan, state, scores=later)
    assert history.kept == 4
    assert torch.equal(resumed, run(plan, scores=SCORES)[0])


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_change():
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) at step \d+: lower learning_rate"):
        run(settings(optimizer="sgd", schedule="constant", learning_rate=1e30, gradient_clip=0))


@pytest.mark.parametrize(
    ("schedule", "first", "last"),
    [("one_cycle", 0.004, 0.0), ("cosine", 0.1, 0.0), ("constant", 0.1, 0.1)],
)
def test_schedules_begin_and_end_where_they_should(schedule, first, last):
    plan = settings(schedule=schedule, steps=50)
    optimizer, schedule = training.make_optimizer([nn.Parameter(torch.zeros(1))], plan)
    rates = []
    for _ in range(50):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(first)
    assert rates[-1] == pytest.approx(last, abs=2e-4)
    assert max(rates) == pytest.approx(0.1)


def test_a_device_that_is_not_there_is_one_clear_line():
    with pytest.raises(
        ValueError, match="device 'cuda:99' is not to be had here: set device: auto"
    ):
        training.choose_device("cuda:99")
    with pytest.raises(ValueError, match="device 'abacus' is not to be had"):
        training.choose_device("abacus")
    assert training.choose_device("cpu") == torch.device("cpu")
