"""A small training that one process or several ranks take; run as a program, it is one rank.

The losses are means over another number of terms for each row, so that a rank's mean is not the
mean's part; batches are of uneven size, and the last has fewer rows than there are parts.
"""

import contextlib
import json
import sys
from pathlib import Path

import torch
from torch import nn

from equitune import EquiTuned, actions
from equitune.config import Training
from equitune.run import checkpoint, interruption, loop, ranks

ROWS, BATCH, STEPS = 23, 7, 9
CLIP = 1.0  # some steps have a larger gradient norm, some a smaller one


def plan(**changes):
    """SGD, as Adam would not see a gradient of another scale."""
    values = {"steps": STEPS, "batch_size": BATCH, "learning_rate": 0.05, "validate_every": 1}
    values |= {"optimizer": "sgd", "gradient_clip": CLIP, "save_seconds": 0}
    return Training(**{**values, **changes})


def data():
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(ROWS, 1, 4, 4, generator=generator)
    y = torch.randn(ROWS, 1, generator=generator)
    return x, y, torch.arange(ROWS) % 3 + 1  # how often each row counts


def network(*layers, seed=0):
    torch.manual_seed(seed)
    rotate = actions.Rotate90()
    parts = (nn.Conv2d(1, 3, 3), *layers, nn.Flatten(), nn.Linear(12, 1))
    return EquiTuned(nn.Sequential(*parts), rotate, actions.Trivial(rotate.group))


class Killed(BaseException):
    """What a killed process would be, inside one process."""


def train(model, settings, *, precision="float32", kill_at=None, state=None, fault=None):
    """Train it; return the history."""
    x, y, counts = data()
    calls = 0

    def loss(rows):
        nonlocal calls
        if kill_at is not None and calls == kill_at:
            raise Killed
        calls += 1
        if fault is not None:
            fault(calls)
        errors = (model(x[rows]) - y[rows]).float().square().squeeze(1)
        return (errors * counts[rows]).sum() / counts[rows].sum()

    @torch.no_grad()
    def validate():
        return -float((model(x) - y).square().mean())

    objective = loop.Objective(
        epoch=lambda generator: torch.randperm(ROWS, generator=generator).split(BATCH),
        loss=loss,
        validate=validate,
        terms=lambda rows: int(counts[rows].sum()),
        precision=precision,
    )
    return loop.fit(model, settings, objective, seed=0, state=state)


def facts(model, history):
    """What a training gave, as tensors and numbers."""
    return {
        "weights": model.state_dict(),
        "loss": history.loss,
        "validation": history.validation,
        "examples": history.examples,
        "resumed_at": history.resumed_at,
        "kept": history.kept,
    }


def plain():
    model = network()
    return facts(model, train(model, plan()))


def parts():
    model = network()
    return facts(model, train(model, plan(accumulate=2)))


def chunks():
    """Copies by twos, computed again in the backward pass."""
    model = network()
    model.chunk_size = 2
    return facts(model, train(model, plan()))


def half():
    model = network()
    return facts(model, train(model, plan(), precision="bfloat16"))


def resumed(folder):
    """Dropout, killed after the fourth step; the second try is a new process to the loop."""
    state = checkpoint.state_of(folder, folder / "model.safetensors", {"test": 1})
    with contextlib.suppress(Killed):
        train(network(nn.Dropout(0.5)), plan(), state=state, kill_at=4)
    model = network(nn.Dropout(0.5))
    return facts(model, train(model, plan(), state=state))


def whole():
    model = network(nn.Dropout(0.5))
    return facts(model, train(model, plan()))


def normalised():
    """BatchNorm; one step, so that the statistics that come out can be computed by hand."""
    model = network(nn.BatchNorm2d(3))
    return facts(model, train(model, plan(steps=1)))


def stopped(place):
    """One rank alone is asked to stop, before the third step."""
    asked = iter([None, None, "SIGTERM asks it to stop"])
    before, interruption.reason = interruption.reason, lambda: next(asked) if place else None
    try:
        train(network(), plan())
    except interruption.Interrupted as error:
        return str(error)
    finally:
        interruption.reason = before


def synchronised():
    model = network(nn.BatchNorm2d(3))
    model.module = nn.SyncBatchNorm.convert_sync_batchnorm(model.module)
    return model


def refused(settings, fault=None, model=None, **options):
    try:
        train(model or network(), settings, fault=fault, **options)
    except (ValueError, MemoryError) as error:
        return str(error)


def full(calls):
    raise torch.OutOfMemoryError("CUDA out of memory. More.")


def sharded():
    """FSDP2 in a loop of one's own, as docs/scale.md has it; the whole weights at the end."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.fsdp import fully_shard

    model = network()
    fully_shard(model.module)
    fully_shard(model)
    by_hand(model, torch.distributed.get_rank(), torch.distributed.get_world_size())
    options = StateDictOptions(full_state_dict=True)
    return get_model_state_dict(model, options=options)


class Blocks(nn.Module):
    """What a transformer is made of: a list of equal parts, one after the other."""

    def __init__(self, *layers):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(12, 12), nn.Tanh()) for _ in range(3))
        # as networks for images are, which are cut in two
        self.last = torch.fx.symbolic_trace(nn.Sequential(*layers, nn.Linear(12, 1)))

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


HOW = {
    "plain": {},
    "parts": {"accumulate": 2},
    "chunks": {},
    "sgd": {"optimizer": "sgd"},
    "half": {},
    "patient": {"learning_rate": 0.3, "patience": 3},
    "whole": {},
    "resumed": {},
}


def blocks(*layers, chunk_size=None):
    torch.manual_seed(3)
    rotate = actions.Rotate90()
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), Blocks(*layers))
    return EquiTuned(module, rotate, actions.Trivial(rotate.group), chunk_size=chunk_size)


def deep(name, folder=None):
    """A training of a network with blocks; of several ranks with divided weights."""
    made = []
    settings = {"optimizer": "adamw", "learning_rate": 0.01, "shard": True} | HOW[name]

    def model():
        layers = [nn.Dropout(0.5)] if name in ("whole", "resumed") else []
        return blocks(*layers, chunk_size=2 if name == "chunks" else None)

    def make(*arguments, **options):
        made[:] = before(*arguments, **options)
        return made

    before, loop.make_optimizer = loop.make_optimizer, make
    options = {"precision": "bfloat16"} if name == "half" else {}
    try:
        if name == "resumed":
            output = folder / "divided" / "model.safetensors"
            options["state"] = checkpoint.state_of(folder, output, {"test": 2})
            with contextlib.suppress(Killed):
                train(model(), plan(**settings), kill_at=4, **options)
        trained = model()
        weights = list(trained.parameters())
        found = facts(trained, train(trained, plan(**settings), **options))
    finally:
        loop.make_optimizer = before
    assert all(a is b for a, b in zip(weights, trained.parameters(), strict=True))
    held = [x for own in made[0].state.values() for x in own.values() if x.ndim]
    return found | {
        "kinds": [type(module).__name__ for module in trained.modules()],
        "held": sum(getattr(x, "_local_tensor", x).numel() for x in held),
    }


def again():
    """A model whose weights are divided for a second time."""
    model = blocks()
    train(model, plan(steps=1, shard=True))
    return refused(plan(steps=1, shard=True), model=model)


def by_hand(model, place=0, count=1):
    """Five steps of gradient descent on every count-th row; equal shares, so a mean of means."""
    x, y, _ = data()
    rows = torch.arange(20)[place::count]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (model(x[rows]) - y[rows]).square().mean().backward()
        optimizer.step()
    return model.state_dict()


def main(folder):
    place = ranks.connect(torch.device("cpu")).place
    found = {
        "plain": plain(),
        "parts": parts(),
        "chunks": chunks(),
        "half": half(),
        "resumed": resumed(folder),
        "whole": whole(),
        "normalised": normalised(),
        "sharded": sharded(),
        "divided": {name: deep(name, folder) for name in HOW},
    }
    said = {
        "stopped": stopped(place),
        "small": refused(plan(batch_size=3, accumulate=2)),
        "full": refused(plan(), full),
        "synchronised": refused(plan(), model=synchronised()),
        "again": again(),
        "float16": refused(plan(shard=True), precision="float16"),
    }
    torch.save(found, folder / f"{place}.pt")
    (folder / f"{place}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
