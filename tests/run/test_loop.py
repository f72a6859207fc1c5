"""The training loop: seeded, resumable at any step, and clear about what goes wrong."""

import pytest
import torch
from torch import nn

from equitune import EquiTuned, actions
from equitune.config import Training
from equitune.run import checkpoint, clock, interruption, loop
from equitune.run.optimizers import make_optimizer

ROWS, FEATURES, BATCH = 20, 3, 6  # an epoch of four batches, the last one shorter


def settings(**changes):
    values = {"steps": 11, "batch_size": BATCH, "learning_rate": 0.1, "schedule": "one_cycle"}
    return Training(**{**values, "save_seconds": 0, **changes})


def state_in(folder):
    return checkpoint.state_of(folder, folder / "model.safetensors", {"test": 1})


class Killed(BaseException):
    """What a killed process would be, inside one process."""


def run(plan, state=None, seed=0, kill_at=None, validations=None, scores=None, precision="float32"):
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

    history = loop.fit(
        model,
        plan,
        loop.Objective(
            epoch=lambda generator: torch.randperm(ROWS, generator=generator).split(BATCH),
            loss=loss,
            validate=validate,
            precision=precision,
        ),
        seed=seed,
        state=state,
    )
    return torch.cat([p.detach().flatten() for p in model.parameters()]), history


@pytest.mark.parametrize("kill_at", [1, 3, 4, 5, 8, 10])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, kill_at, optimizer):
    plan = settings(optimizer=optimizer)
    whole, history = run(plan)
    state = state_in(tmp_path)
    with pytest.raises(Killed):
        run(plan, state, kill_at=kill_at)
    resumed, resumed_history = run(plan, state)
    assert resumed_history.resumed_at == kill_at
    assert resumed_history.examples == history.examples
    assert torch.equal(whole, resumed)


def test_a_run_killed_twice_still_ends_the_same(tmp_path):
    state, plan = state_in(tmp_path), settings()
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


def test_a_run_that_is_asked_to_stop_writes_its_state_and_goes_on_later(tmp_path, monkeypatch):
    plan = settings(save_seconds=1e9)  # nothing else writes the state
    place = state_in(tmp_path)
    asked = iter([None, None, "SIGTERM asks it to stop"])
    monkeypatch.setattr(interruption, "reason", lambda: next(asked))
    with pytest.raises(interruption.Interrupted, match="at step 3 of 11: the same command goes on"):
        run(plan, place)
    monkeypatch.undo()
    resumed, history = run(plan, place)
    assert history.resumed_at == 3
    assert torch.equal(run(plan)[0], resumed)


def test_the_time_that_states_take_is_no_training_time(tmp_path, monkeypatch):
    now = 0.0

    def pass_time(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(clock.time, "monotonic", lambda: now)
    monkeypatch.setattr(interruption, "reason", lambda: pass_time(1))  # once between two steps
    monkeypatch.setattr(checkpoint.State, "save", lambda state, content: pass_time(100))
    history = run(settings(), state_in(tmp_path))[1]
    assert (history.seconds, history.state_seconds) == (10, 1100)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(0, [4, 8, 16, 32, 64, 96]), (0.5, [4, 24.5, 50, 82.5, 115])],  # not soon after a slow one
)
def test_states_are_written_soon_and_then_at_the_interval(tmp_path, monkeypatch, cost, expected):
    now, saves = 0, []

    def pass_time(seconds=1):
        nonlocal now
        now += seconds

    def save(state, content):
        saves.append(now)
        pass_time(cost)

    monkeypatch.setattr(clock.time, "monotonic", lambda: now)
    monkeypatch.setattr(interruption, "reason", pass_time)  # a second a step
    monkeypatch.setattr(checkpoint.State, "save", save)
    run(settings(steps=120, save_seconds=32), state_in(tmp_path))
    assert saves == expected


def test_a_run_without_a_state_says_that_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(interruption, "reason", lambda: "its time is nearly over")
    with pytest.raises(interruption.Interrupted, match="at step 1 of 11: nothing of it is kept"):
        run(settings())


def test_a_run_that_is_asked_to_stop_at_its_last_step_has_finished(monkeypatch):
    asked = iter([None] * 10)  # not asked an eleventh time
    monkeypatch.setattr(interruption, "reason", lambda: next(asked))
    assert run(settings())[1].kept == 11


def test_a_smaller_chunk_size_is_kept_over_an_interruption(tmp_path):
    rotate = actions.Rotate90()

    def fit(kill_at=None):
        torch.manual_seed(0)
        model = EquiTuned(nn.Linear(4, 1), rotate, actions.Trivial(rotate.group))
        calls = 0

        def loss(rows):
            nonlocal calls
            calls += 1
            if calls == 1 and kill_at:
                raise torch.OutOfMemoryError("CUDA out of memory. More.")
            if calls == kill_at:
                raise Killed
            return model(torch.ones(len(rows), 4, 4)).square().mean()

        loop.fit(
            model,
            settings(),
            loop.Objective(
                epoch=lambda generator: [torch.arange(2)], loss=loss, validate=lambda: 0.0
            ),
            seed=0,
            state=state_in(tmp_path),
        )
        return model.chunk_size

    with pytest.raises(Killed):
        fit(kill_at=5)
    assert fit() == 2


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
    state = state_in(tmp_path)
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
    optimizer, schedule = make_optimizer([nn.Parameter(torch.zeros(1))], plan)
    rates = []
    for _ in range(50):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(first)
    assert rates[-1] == pytest.approx(last, abs=2e-4)
    assert max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [1, 5, 9, 10, 11])
def test_a_rise_of_one_step_or_less_ends(steps):
    weights, history = run(settings(steps=steps, warmup=0.1))
    assert history.kept == steps
    assert weights.isfinite().all()


def test_a_step_in_float16_that_overflows_is_left_out():
    """The scale begins at 65 536, which the gradients of so large a loss do not take."""

    def fit(steps):
        torch.manual_seed(0)
        model, weights = nn.Linear(4, 1), []
        x = torch.ones(2, 4)

        def loss(rows):
            weights.append(model.weight.detach().clone())
            predicted = model(x[rows])
            assert predicted.dtype == torch.float16
            return 10 * predicted.square().mean()

        objective = loop.Objective(
            epoch=lambda generator: [torch.arange(2)],
            loss=loss,
            validate=lambda: 0.0,
            precision="float16",
        )
        plan = settings(steps=steps, schedule="constant", optimizer="sgd", learning_rate=1e-4)
        loop.fit(model, plan, objective, seed=0)
        return [*weights, model.weight.detach()]

    weights = fit(8)
    assert torch.equal(weights[0], weights[1])  # left out
    assert not torch.equal(weights[-2], weights[-1])


@pytest.mark.parametrize("kill_at", [1, 5])
def test_a_killed_run_in_float16_ends_with_the_same_bits(tmp_path, kill_at):
    state, plan = state_in(tmp_path), settings(gradient_clip=0.1)
    with pytest.raises(Killed):
        run(plan, state, kill_at=kill_at, precision="float16")
    resumed, history = run(plan, state, precision="float16")
    assert history.resumed_at == kill_at
    whole, _ = run(plan, precision="float16")
    assert torch.equal(whole, resumed)
    assert not torch.equal(whole, run(plan)[0])
