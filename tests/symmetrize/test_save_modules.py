"""Modules of every kind are saved and come back as they are, or are refused before any file."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from small_models import S3, Peak, Words, rows_of
from small_saved import FLIP, Facts, check_comes_back, equal, linear, refused
from torch import nn

from equitune.actions import Flip, Rotate90, TokenPermutation, Trivial
from equitune.symmetrize import EquiTuned, Select, Weighted


def wrappers():
    return {
        "compiled": lambda m: torch.compile(m, backend="eager"),
        "parallel": nn.DataParallel,
        "compiled in parallel": lambda m: nn.DataParallel(torch.compile(m, backend="eager")),
        "a part compiled": lambda m: nn.Sequential(
            *(torch.compile(part, backend="eager") for part in m)
        ),
        "plain": lambda m: m,
    }


@pytest.mark.parametrize("loaded", list(wrappers()))
@pytest.mark.parametrize("saved", list(wrappers()))
def test_compiled_parallel_and_plain_modules_load_into_each_other(tmp_path, saved, loaded):
    model = equal(wrappers()[saved](linear()))
    model.save_pretrained(tmp_path)
    keys = {f"module.{i}.{name}" for i in (0, 2) for name in ("weight", "bias")}
    assert load_file(tmp_path / "model.safetensors").keys() == keys
    again = EquiTuned.from_pretrained(tmp_path, wrappers()[loaded](linear()))
    check_comes_back(model, again, torch.randn(5, 4))


@pytest.mark.parametrize("wrapper", ["compiled", "parallel"])
def test_a_file_with_the_keys_of_a_wrapper_is_read(tmp_path, wrapper):
    """As it was written before keys were those of the plain module."""
    from safetensors.torch import save_file

    model = equal(wrappers()[wrapper](linear()))
    model.save_pretrained(tmp_path)
    state = {k: x for k, x in model.state_dict().items() if k.startswith("module.")}
    assert not state.keys() & load_file(tmp_path / "model.safetensors").keys()
    save_file(state, tmp_path / "model.safetensors")
    again = EquiTuned.from_pretrained(tmp_path, wrappers()[wrapper](linear()))
    check_comes_back(model, again, torch.randn(5, 4))
    if wrapper == "compiled":
        again = EquiTuned.from_pretrained(tmp_path, linear())
        check_comes_back(model, again, torch.randn(5, 4))


def test_a_submodule_that_is_called_module_keeps_its_name(tmp_path):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4))
            self.module = nn.Module()
            self.module.weight = nn.Parameter(torch.randn(4))

        def forward(self, x):
            return (x * self.weight + self.module.weight)[:, :2]

    model = equal(nn.DataParallel(Named()))
    model.save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors").keys() == {
        "module.weight",
        "module.module.weight",
    }
    for wrap in (nn.DataParallel, lambda m: m):
        check_comes_back(
            model, EquiTuned.from_pretrained(tmp_path, wrap(Named())), torch.randn(5, 4)
        )


def test_distributed_modules_load_into_plain_ones(tmp_path):
    """In a process of its own, as the group of processes is one for the whole of it."""
    code = """
import sys, torch
from torch import distributed, nn
from equitune import EquiTuned, actions
distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
flip = actions.Flip()
module = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
model = EquiTuned(module, flip, actions.Trivial(flip.group))
model.save_pretrained(sys.argv[1])
again = EquiTuned.from_pretrained(sys.argv[1], nn.Linear(4, 2))
x = torch.randn(3, 4)
assert torch.equal(again(x), model(x))
distributed.destroy_process_group()
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_compiled_way_to_combine_is_known_by_what_it_is(tmp_path):
    def net():
        return nn.Sequential(nn.Linear(2, 1), nn.Softplus())

    combine = torch.compile(Weighted(net()), backend="eager")
    model = EquiTuned(linear(), FLIP, Trivial(FLIP.group), combine)
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, linear(), Weighted(net()))
    x = torch.randn(3, 4)
    with torch.no_grad():
        torch.testing.assert_close(again(x), model(x), rtol=1e-6, atol=1e-6)


def same(a, b):
    return type(a) is type(b) and (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b)


@pytest.mark.parametrize(
    "facts",
    [
        {"scale": 2.5},
        {"scale": torch.tensor(2.5), "shape": (1, 2), "more": [None, True, "x"]},
    ],
    ids=["numbers", "tensors and tuples"],
)
def test_extra_state_comes_back(tmp_path, facts):
    model = equal(Facts(facts))
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Facts())
    assert again.module.facts.keys() == facts.keys()
    assert all(same(again.module.facts[key], facts[key]) for key in facts)
    check_comes_back(model, again, torch.randn(5, 4))
    with pytest.raises(ValueError, match=r"extra state module\._extra_state is in one of them"):
        EquiTuned.from_pretrained(tmp_path, nn.Linear(4, 2))
    equal(nn.Linear(4, 2)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"extra state module\._extra_state is in one of them"):
        EquiTuned.from_pretrained(tmp_path, Facts())


def test_extra_state_that_is_a_tensor_comes_back(tmp_path):
    class Counted(Facts):
        def get_extra_state(self):
            return torch.tensor([self.facts["scale"]])

        def set_extra_state(self, state):
            self.facts = {"scale": state.item()}

    model = equal(Counted({"scale": 2.5}))
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Counted({"scale": 0.0}))
    check_comes_back(model, again, torch.randn(5, 4))


def test_other_extra_state_is_refused(tmp_path):
    text = refused(equal(Facts({"scale": 1, "when": {1, 2}})), tmp_path / "model")
    assert "module._extra_state is of type set" in text
    assert "let get_extra_state return a tensor" in text


def test_extra_state_that_nobody_can_set_is_refused(tmp_path):
    class Closed(nn.Linear):
        def get_extra_state(self):
            return {"scale": 1}

    assert "set_extra_state" in refused(equal(Closed(4, 2)), tmp_path / "model")


def test_a_model_inside_a_model_comes_back(tmp_path):
    """Quarter turns inside, mirror images outside; the inner actions are checked."""

    def inner(action):
        return EquiTuned(nn.Conv2d(2, 3, 3, padding=1), action, action)

    turn = Rotate90()
    model = EquiTuned(inner(turn), FLIP, FLIP)
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, inner(Rotate90()))
    x = torch.randn(2, 2, 5, 5)
    assert torch.equal(again(x), model(x))
    with pytest.raises(ValueError, match="that of a model with other actions"):
        EquiTuned.from_pretrained(tmp_path, inner(Flip()))


def test_a_model_inside_a_model_of_version_0_1_0_comes_back(tmp_path):
    """Its actions were buffers; other permutations than the module's are refused."""
    from safetensors.torch import save_file

    words = TokenPermutation(S3, rows_of(S3))

    def inner():
        return EquiTuned(Words(8), words, words.on_logits())

    model = EquiTuned(inner(), words, words.on_logits())
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    del state["module._extra_state"]
    for name in ("input_actions.0", "output_action"):
        state[f"module.{name}.permutations"] = words.permutations.clone()
    save_file(state, file)
    again = EquiTuned.from_pretrained(tmp_path, inner())
    x = torch.randint(8, (3, 4))
    assert torch.equal(again(x), model(x))
    state["module.output_action.permutations"] = words.permutations.flip(0)
    save_file(state, file)
    with pytest.raises(ValueError, match="that of a model with other actions"):
        EquiTuned.from_pretrained(tmp_path, inner())


def test_settings_may_be_numbers_of_numpy(tmp_path):
    import numpy as np

    model = EquiTuned(linear(), FLIP, Trivial(FLIP.group), chunk_size=np.int64(1))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["chunk_size"] == 1
    assert EquiTuned.from_pretrained(tmp_path, linear()).chunk_size == 1


def test_what_a_subclass_learns_is_saved(tmp_path):
    class Scaled(EquiTuned):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.scale = nn.Parameter(torch.tensor(3.0))

        def forward(self, x):
            return self.scale * super().forward(x)

    model = Scaled(linear(), FLIP, Trivial(FLIP.group))
    with torch.no_grad():
        model.scale.fill_(5.0)
    model.save_pretrained(tmp_path)
    assert Scaled.from_pretrained(tmp_path, linear()).scale == 5.0


def test_the_weights_of_a_score_are_saved_if_it_is_a_module(tmp_path):
    class Score(Peak):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8))

        def forward(self, y):
            return (y * self.weight).sum((-2, -1))

    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Words(8), words, words.on_logits(), Select(Score()))
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Words(8), Select(Score()))
    assert torch.equal(again.combine.score.weight, model.combine.score.weight)
    x = torch.randint(8, (3, 4))
    assert torch.equal(again(x), model(x))
