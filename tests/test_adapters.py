"""LoRA in and around what is equi-tuned: exact, kept by itself, and merged."""

import re

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from equitune import EquiTuned, actions, adapters
from equitune.config import Training
from equitune.run import loop

pytest.importorskip("peft")

ROTATE = actions.Rotate90()
X = torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(1))
Y = X.abs().amax((1, 2, 3))[:, None].repeat(1, 3)


class Net(nn.Module):
    """A convolution, BatchNorm and a linear layer, pretrained, as it were."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.classify = nn.Linear(4, 3)

    def forward(self, x):
        return self.classify(self.norm(self.features(x)).relu().mean((2, 3)))


def wrapped():
    return EquiTuned(Net(), ROTATE, actions.Trivial(ROTATE.group))


def trained(model, steps=100):
    """Train what is left to be trained; return the history."""
    plan = Training(steps=steps, batch_size=6, learning_rate=0.02, validate_every=steps - 1)
    objective = loop.Objective(
        epoch=lambda generator: torch.randperm(len(X), generator=generator).split(6),
        loss=lambda rows: (model(X[rows]) - Y[rows]).square().mean(),
        validate=lambda: 0.0,
    )
    return loop.fit(model, plan, objective, seed=0)


def defect(model):
    """The largest change of the output as the input turns."""
    with torch.no_grad():
        outputs = torch.stack([model(ROTATE(g, X)) for g in range(4)])
    return float((outputs - outputs[0]).abs().max())


@pytest.mark.parametrize("where", ["inside", "around"])
def test_a_hundred_steps_leave_the_model_equivariant_and_its_weights_alone(where):
    model = wrapped()
    before = {name: x.clone() for name, x in model.eval().state_dict().items()}
    outputs = model(X)
    adapters.attach(model.module if where == "inside" else model, 2)
    assert torch.equal(model.eval()(X), outputs)  # a new adapter adds nothing
    losses = list(trained(model).loss.values())
    assert losses[-1] < 0.5 * float((outputs - Y).square().mean().detach())
    assert defect(model) <= 1e-6
    adapters_of = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(adapters_of) == 4
    assert all("lora" in name for name in adapters_of)
    own = {name.replace(".base_layer", ""): x for name, x in model.state_dict().items()}
    for name in ("features.weight", "classify.bias", "norm.weight"):
        assert torch.equal(own[f"module.{name}"], before[f"module.{name}"])


def test_adapters_alone_are_kept_and_taken_up_by_the_pretrained_model(tmp_path):
    model = wrapped()
    adapters.attach(model.module, 2, ["features"])
    trained(model, 20)
    adapters.save(model, tmp_path / "adapters.safetensors", 2, ["features"])
    kept = load_file(tmp_path / "adapters.safetensors")
    assert {name.rpartition(".")[2] for name in kept} == {
        "weight",
        "running_mean",  # which training changed too
        "running_var",
        "num_batches_tracked",
    }
    assert sum("lora" in name for name in kept) == 2
    again = wrapped()
    adapters.load(again, tmp_path / "adapters.safetensors", again.module)
    assert torch.equal(again.eval()(X), model(X))


def test_merged_adapters_give_the_same_outputs():
    model = wrapped()
    adapters.attach(model.module, 2)
    trained(model, 20)
    expected, names = model(X), set(wrapped().state_dict())
    with torch.no_grad():
        assert (expected - wrapped().eval()(X)).abs().max() > 0.1
    adapters.merge(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model(X), expected, atol=1e-6, rtol=1e-6)
    assert defect(model) <= 1e-6


def test_what_is_trained_is_said():
    model = wrapped()
    adapters.attach(model.module, 2)
    # rank 2: 2·9 + 4·2 of the convolution, 2·4 + 3·2 of the linear layer
    assert adapters.report(model) == "trains 40 of 103 parameters (38.83%)"


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("clasify", "'clasify' matches no linear layer, convolution or embedding of Net; did you"),
        (["features", "norm"], "'norm' matches no linear layer, convolution or embedding of Net"),
        ("q_proj", "of Net; expected one of classify, features"),
    ],
    ids=["mistyped", "another layer", "another model"],
)
def test_targets_that_match_no_layer_are_one_line(targets, said):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        adapters.attach(Net(), 2, targets)
    assert "\n" not in str(error.value)


def test_files_of_other_things_and_of_other_models_are_one_line(tmp_path):
    path = tmp_path / "adapters.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"holds no adapters: write them by adapters\.save"):
        adapters.load(Net(), path)
    model = Net()
    adapters.attach(model, 2)
    adapters.save(model, path, 2)
    other = nn.Sequential(Net(), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="holds adapters of another model: ") as error:
        adapters.load(other, path)
    assert "\n" not in str(error.value)
