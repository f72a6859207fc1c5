"""Saved and loaded: every key accounted for, whole files or none."""

import json
import os

import pytest
import torch
from small_models import S3, Peak, Picture, Words, rows_of
from torch import nn

from equitune.actions import (
    Flip,
    Rotate90,
    RotateFlip,
    TokenPermutation,
)
from equitune.symmetrize import EquiTuned, Select, Weighted


def saved(tmp_path, **settings):
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Words(8), words, words.on_logits(), **settings)
    model.save_pretrained(tmp_path / "model")
    return model, tmp_path / "model"


def test_save_and_load(tmp_path):
    net = nn.Sequential(nn.Linear(8, 1), nn.Softplus())
    model, folder = saved(tmp_path, combine=Weighted(net), chunk_size=2, dedupe=True, frozen=True)
    again_net = nn.Sequential(nn.Linear(8, 1), nn.Softplus())
    again = EquiTuned.from_pretrained(folder, Words(8), Weighted(again_net))
    x = torch.randint(8, (3, 4))
    assert torch.equal(again(x), model(x))
    assert (again.chunk_size, again.dedupe, again.frozen) == (2, True, True)
    assert again.group == S3
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert len({p.stat().st_mode for p in folder.iterdir()}) == 1  # both as the umask says
    assert {key.split(".")[0] for key in model.state_dict()} == {
        "module",
        "combine",
        "_extra_state",  # which actions, so that those of another model are refused
    }


@pytest.mark.parametrize("action", [Rotate90(), RotateFlip(), Flip()], ids=lambda a: repr(a))
def test_save_and_load_image_models(tmp_path, action):
    model = EquiTuned(Picture(nn.BatchNorm2d), (action,), action)
    model(torch.randn(2, 2, 5, 5))  # moves the running statistics
    model.save_pretrained(str(tmp_path))
    again = EquiTuned.from_pretrained(str(tmp_path), Picture(nn.BatchNorm2d))
    x = torch.randn(2, 2, 5, 5)
    assert torch.equal(again.eval()(x), model.eval()(x))
    model.save_pretrained(tmp_path)  # writing over it is allowed


class Tied(nn.Module):
    """Output weights tied to the embedding, as in GPT-2."""

    def __init__(self, tie=True):
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.out = nn.Linear(4, 8, bias=False)
        if tie:
            self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(self.embed(x))


def test_tied_weights_are_saved_once(tmp_path):
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Tied(), words, words.on_logits())
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Tied())
    x = torch.randint(8, (3, 4))
    assert torch.equal(again(x), model(x))
    assert again.module.out.weight is again.module.embed.weight
    with pytest.raises(ValueError, match=r"missing module\.out\.weight"):
        EquiTuned.from_pretrained(tmp_path, Tied(tie=False))


def test_keys_that_do_not_fit_are_counted_and_named(tmp_path):
    _, folder = saved(tmp_path)
    other = Words(9)
    other.extra = nn.Linear(2, 2)
    del other.mix
    with pytest.raises(ValueError, match="does not fit") as error:
        EquiTuned.from_pretrained(folder, other)
    text = str(error.value)
    assert "missing module.extra.bias, module.extra.weight;" in text
    mix = [f"module.mix.{name}" for name in ("bias_hh_l0", "bias_ih_l0", "weight_hh_l0")]
    assert f"unexpected 4 keys ({', '.join(mix)}, …);" in text
    for key in ("embed.weight is (8, 6), expected (9, 6)", "out.bias is (8,), expected (9,)"):
        assert f"module.{key}" in text
    assert "\n" not in text


def test_the_kind_of_combination_must_be_given(tmp_path):
    _, folder = saved(tmp_path, combine=Select(Peak()))
    with pytest.raises(ValueError, match=r"saved with Select, not Mean: pass combine=Select"):
        EquiTuned.from_pretrained(folder, Words(8))


def test_damaged_folders_are_one_clear_line(tmp_path):
    _, folder = saved(tmp_path)
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged \(.*\): save"):
        EquiTuned.from_pretrained(folder, Words(8))
    weights.write_bytes(whole)
    settings = json.loads(config.read_text())
    del settings["dedupe"], settings["combine"]
    config.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="lacks combine, dedupe"):
        EquiTuned.from_pretrained(folder, Words(8))
    config.write_text('{"input_act')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        EquiTuned.from_pretrained(folder, Words(8))
    config.unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        EquiTuned.from_pretrained(folder, Words(8))


def test_an_interrupted_write_leaves_the_old_files(tmp_path, monkeypatch):
    model, folder = saved(tmp_path)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with torch.no_grad():
        model.module.out.bias += 1
    with pytest.raises(OSError, match="no space left"):
        model.save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
