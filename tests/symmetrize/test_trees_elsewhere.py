"""Several outputs in what is done with a model: weights, export, files, reports and the gain."""

import json

import pytest
import torch
from small_models import S3, rows_of
from small_trees import KEEP, ROTATE, TREES, Heads, entries, images, loop, same
from torch import nn

from equitune.actions import TokenPermutation, Trivial
from equitune.combine import Select, Weighted
from equitune.equivariance import (
    assert_equivariant,
    equivariance_error,
    equivariance_report,
)
from equitune.gain import expected_gain
from equitune.symmetrize import EquiTuned


class Norm(nn.Module):
    """One weight for each copy, of all outputs."""

    def forward(self, y):
        return 1 + y["logits"].square().sum(1) + y["mask"][:, 0, 0, 0].square()


def test_one_weight_and_one_choice_for_all_outputs():
    module, x = Heads().double(), images()
    outputs = [module(ROTATE(g, x)) for g in range(4)]
    weights = torch.stack([Norm()(y) for y in outputs])
    masks = torch.stack([ROTATE.inverse(g, y["mask"]) for g, y in enumerate(outputs)])
    logits = torch.stack([y["logits"] for y in outputs])
    share = weights / weights.sum(0)
    y = EquiTuned(module, ROTATE, TREES["dict"], Weighted(Norm()))(x)
    expected = (share[..., None, None, None] * masks).sum(0), (share[..., None] * logits).sum(0)
    same(entries(y), expected)
    y = EquiTuned(module, ROTATE, TREES["dict"], Select(Norm()))(x)
    best = weights.argmin(0), torch.arange(3)
    same(entries(y), (masks[best], logits[best]))


def test_dedupe_with_several_outputs():
    words = TokenPermutation(S3, rows_of(S3))
    keep, x = Trivial(S3), torch.tensor([[6, 7], [0, 7], [7, 7]])

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rows = nn.Embedding(8, 8), 0

        def forward(self, ids, mask):
            self.rows += len(ids)
            y = self.embed(ids) * mask[..., None]
            return y, y[..., :2].sum(1)

    module = Tagger().double()
    model = EquiTuned(module, {"ids": words, "mask": keep}, (words.on_logits(), keep), dedupe=True)
    y = model(x, mask=torch.ones_like(x))
    assert module.rows == 2 + 6  # both still sentences once, the orbit of the other
    plain = EquiTuned(module, (words, keep), (words.on_logits(), keep))
    same(y, plain(x, torch.ones_like(x)))


@pytest.mark.parametrize("kind", ["dict", "tuple", "dataclass"])
def test_compiles_and_exports_as_it_is(kind):
    module, x = Heads(kind).double(), images()
    model = EquiTuned(module, {"x": ROTATE}, TREES[kind], chunk_size=2).eval()
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    same(entries(compiled(x=x)), loop(module, x))
    if kind != "dataclass":  # torch.export takes those that were registered with it
        exported = torch.export.export(model, (), {"x": x}).module()
        other = images()
        same(entries(exported(x=other)), loop(module, other))


@pytest.mark.parametrize("sample", [None, 2])
def test_trees_are_saved_and_loaded(tmp_path, sample):
    module, x = Heads(), images().float()
    tree = {"mask": ROTATE, "logits": KEEP, "hidden": None}
    model = EquiTuned(
        module, {"x": ROTATE, "shift": None}, tree, chunk_size=2, sample=sample
    ).eval()
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Heads()).eval()
    for a, b in zip(model(x).values(), again(x).values(), strict=True):
        assert torch.equal(a, b)
    assert repr(again) == repr(model)
    picked = EquiTuned(Heads(), ROTATE, [ROTATE], output="hidden")
    with pytest.raises(ValueError, match="other actions"):
        model.load_state_dict(picked.state_dict())
    picked.save_pretrained(tmp_path)
    assert EquiTuned.from_pretrained(tmp_path, Heads()).output == "hidden"


def test_folders_of_earlier_versions_load(tmp_path):
    model = EquiTuned(Heads("tuple"), ROTATE, ROTATE, output=0).eval()
    model.output = None  # what was saved had no such setting
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["output"], config["sample"]
    assert isinstance(config["input_actions"], list)
    assert "action" in config["output_action"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = EquiTuned.from_pretrained(tmp_path, Heads("tuple"))
    assert (again.output, again.sample) == (None, None)


class Mixing(Heads):
    """Of its two outputs one depends on the other rows."""

    def forward(self, x):
        mask, logits = entries(super().forward(x))
        return {"mask": mask, "logits": logits.softmax(0)}


def test_a_model_that_mixes_rows_in_one_of_its_outputs_is_refused():
    with pytest.raises(ValueError, match="Mixing mixes the rows"):
        EquiTuned(Mixing().double(), ROTATE, TREES["dict"])(images())
    module, x = Mixing().double(), images()
    y = EquiTuned(module, ROTATE, TREES["dict"], chunk_size=1)(x)
    same(entries(y), loop(module, x))


def test_errors_and_reports_of_several_outputs():
    module, x = Heads().double(), images()
    model = EquiTuned(module, {"x": ROTATE}, TREES["dict"])
    assert_equivariant(model, {"x": ROTATE}, TREES["dict"], {"x": x})
    errors = equivariance_error(module, ROTATE, TREES["dict"], x)
    each = [
        equivariance_error(lambda x, k=k: module(x)[k], ROTATE, TREES["dict"][k], x)
        for k in ("mask", "logits")
    ]
    assert torch.equal(errors, torch.maximum(*each))
    report = equivariance_report(module, ROTATE, TREES["dict"], x)
    assert "output['mask']: Heads is NOT equivariant" in report
    assert "output['logits']: Heads is NOT equivariant" in report
    assert report.count("cause: mask (Conv2d) is the first submodule") >= 1
    picked = EquiTuned(module, ROTATE, KEEP, output="logits")
    assert "is equivariant" in equivariance_report(picked, ROTATE, KEEP, x)
    with pytest.raises(ValueError, match="expected one dictionary of inputs"):
        equivariance_error(model, {"x": ROTATE}, TREES["dict"], x, x)


def test_the_gain_of_several_outputs_is_their_sum():
    module, x = Heads().double(), images(5)
    total = expected_gain(module, {"x": ROTATE}, TREES["dict"], {"x": x}, batch_size=2)
    parts = [
        expected_gain(lambda x, k=k: module(x)[k], ROTATE, TREES["dict"][k], x).value
        for k in ("mask", "logits")
    ]
    assert total.value == pytest.approx(sum(parts))
    assert total.n == 5
