"""Several inputs and outputs, nested, by name, optional: each as the plain loop over g."""

import json
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from small_models import S3, rows_of
from torch import nn

from equitune.actions import Flip, Rotate90, TokenPermutation, Trivial
from equitune.combine import Select, Weighted
from equitune.equivariance import (
    assert_equivariant,
    equivariance_error,
    equivariance_report,
)
from equitune.gain import expected_gain
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)
Pair = namedtuple("Pair", "mask logits")


@dataclass
class Result:
    mask: torch.Tensor
    logits: torch.Tensor
    hidden: torch.Tensor
    note: str | None = None


class Heads(nn.Module):
    """A mask that turns, logits that stay, and what has no action, in a container of choice."""

    def __init__(self, kind="dict"):
        super().__init__()
        self.mask, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(2 * 25, 4)
        self.kind, self.calls = kind, 0

    def forward(self, x, shift=None, scale=1.0, flag=False):
        self.calls += 1
        mask, logits = self.mask(x).tanh() * scale, self.head(x.flatten(1)).tanh()
        if shift is not None:
            logits = logits + shift
        match self.kind:
            case "tuple":
                return mask, logits
            case "list":
                return [mask, [logits]]
            case "named":
                return Pair(mask, logits)
            case "dataclass":
                return Result(mask, logits, x)
            case "ordered":
                return OrderedDict(mask=mask, logits=logits, hidden=[x])
        return {"mask": mask, "logits": logits, "hidden": x}


TREES = {
    "tuple": (ROTATE, KEEP),
    "list": [ROTATE, [KEEP]],
    "named": (ROTATE, KEEP),
    "dataclass": {"mask": ROTATE, "logits": KEEP},
    "ordered": {"mask": ROTATE, "logits": KEEP},
    "dict": {"logits": KEEP, "mask": ROTATE},
}


def entries(y):
    """Mask and logits, of any of the containers."""
    if isinstance(y, dict):
        return y["mask"], y["logits"]
    if isinstance(y, Result):
        return y.mask, y.logits
    return y[0], (y[1][0] if isinstance(y[1], list) else y[1])


def loop(module, x, *others):
    """1/|G| Σ_g g⁻¹ M(gx) of both outputs."""
    outputs = [entries(module(ROTATE(g, x), *others)) for g in range(4)]
    mask = sum(ROTATE.inverse(g, y[0]) for g, y in enumerate(outputs)) / 4
    return mask, sum(y[1] for y in outputs) / 4


def images(count=3):
    return torch.randn(count, 2, 5, 5, dtype=torch.float64)


def same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
@pytest.mark.parametrize("kind", TREES)
def test_outputs_and_gradients_are_those_of_a_plain_loop_from_one_pass(kind, chunk_size):
    module, x = Heads(kind).double(), images()
    model = EquiTuned(module, ROTATE, TREES[kind], chunk_size=chunk_size)
    model(x)
    module.calls = 0
    y = model(x)
    assert module.calls == {None: 1, 1: 4, 3: 2}[chunk_size]
    assert type(y) is type(module(x))
    expected = loop(module, x)
    same(entries(y), expected)
    weights = list(module.parameters())
    grads = [
        torch.autograd.grad(a.square().sum() + b.exp().sum(), weights)
        for a, b in (entries(y), expected)
    ]
    same(*grads)


def test_what_a_dictionary_does_not_name_is_left_out():
    x = images()
    assert set(EquiTuned(Heads().double(), ROTATE, TREES["dict"])(x)) == {"mask", "logits"}
    result = EquiTuned(Heads("dataclass").double(), ROTATE, {"logits": KEEP})(x)
    assert result.mask is None
    assert result.hidden is None
    model = EquiTuned(Heads().double(), ROTATE, {"logits": KEEP, "hidden": None})
    assert torch.equal(model(x)["hidden"][:3], x)  # without an action: the first copy's


@pytest.mark.parametrize(
    ("kind", "output"), [("dict", "mask"), ("tuple", 0), ("dataclass", "mask")]
)
def test_output_picks_one(kind, output):
    module, x = Heads(kind).double(), images()
    model = EquiTuned(module, ROTATE, ROTATE, output=output)
    torch.testing.assert_close(model(x), loop(module, x)[0])
    assert f"output={output!r}" in repr(model)
    with pytest.raises(ValueError, match=r"output of Heads is .*: output='x' is not one of its"):
        EquiTuned(module, ROTATE, ROTATE, output="x")(x)


@pytest.mark.parametrize("kind", ["positions", "names"])
def test_inputs_by_name_optional_ones_and_flags(kind):
    module, x, shift = Heads().double(), images(), torch.randn(3, 4, dtype=torch.float64)
    actions = {"x": ROTATE, "shift": KEEP} if kind == "names" else (ROTATE, KEEP)
    model = EquiTuned(module, actions, TREES["dict"])
    expected = loop(module, x, shift, 2.0)
    same(entries(model(x, shift, scale=2.0, flag=True)), expected)
    same(entries(model(x=x, shift=shift, scale=2.0)), expected)
    same(entries(model(x, shift=None)), loop(module, x))
    if kind == "names":
        same(entries(model(x=x)), loop(module, x))  # left out
    else:
        with pytest.raises(ValueError, match="1 inputs for 2 input actions"):
            model(x)
    for values in (torch.ones(1), [torch.ones(1)], {"a": torch.ones(1)}):
        with pytest.raises(
            ValueError, match=r"input scale.* is a tensor .* without an action: name"
        ):
            model(x, shift, scale=values)
    with pytest.raises(TypeError, match="input shift is float: expected a tensor"):
        model(x, shift=1.0)
    with pytest.raises(ValueError, match="no input that has an action was passed"):
        model(x=None, shift=None)


class Views(nn.Module):
    """Several images in a dictionary, and a table that has no batch."""

    def forward(self, views, table, names=()):
        sums = views["left"] + 2 * views["right"].flip(-1)
        return sums.flatten(1) @ table + len(names)


@pytest.mark.parametrize("chunk_size", [None, 1])
def test_nested_inputs(chunk_size):
    module, table = Views(), torch.randn(32, 3)
    actions = {"views": {"left": ROTATE, "right": ROTATE}, "table": None}
    model = EquiTuned(module, actions, KEEP, chunk_size=chunk_size)
    views = {"left": torch.randn(2, 2, 4, 4), "right": torch.randn(2, 2, 4, 4), "kind": "stereo"}
    turned = [{k: v if k == "kind" else ROTATE(g, v) for k, v in views.items()} for g in range(4)]
    expected = sum(module(each, table, ["a"]) for each in turned) / 4
    torch.testing.assert_close(model(views, table=table, names=["a"]), expected)
    with pytest.raises(ValueError, match=r"input views is a mapping with the entries left: exp"):
        model(views={"left": views["left"]}, table=table)
    with pytest.raises(TypeError, match=r"input 0 is a tensor \(2, 2, 4, 4\): expected a mapping"):
        model(views["left"], table)


@pytest.mark.parametrize(
    ("kind", "tree", "error", "text"),
    [
        (
            "dict",
            (ROTATE, KEEP),
            TypeError,
            "mapping with .* mask, logits, hidden: expected a tup",
        ),
        (
            "tuple",
            {"mask": ROTATE},
            TypeError,
            "is a tuple of 2: expected a mapping with the entries mask",
        ),
        ("tuple", (ROTATE, KEEP, KEEP), ValueError, "is a tuple of 2: expected a tuple of 3"),
        ("dict", {"masks": ROTATE}, ValueError, "mask, logits, hidden: expected .* entries masks"),
        ("dict", ROTATE, TypeError, 'Heads returned dict: .* output="logits"'),
        (
            "ordered",
            {"hidden": ROTATE},
            TypeError,
            r"Heads returned list as \['hidden'\]: expected one",
        ),
    ],
    ids=["sequence", "mapping", "length", "entry", "tensor", "nested"],
)
def test_a_structure_that_does_not_match_is_one_line(kind, tree, error, text):
    with pytest.raises(error, match=text) as found:
        EquiTuned(Heads(kind).double(), ROTATE, tree)(images())
    assert "\n" not in str(found.value)


def test_trees_of_actions_are_checked():
    with pytest.raises(
        ValueError, match=r"output_action\['b'\]\[0\] is an action of CyclicGroup\(2\)"
    ):
        EquiTuned(Heads(), ROTATE, {"a": ROTATE, "b": [Flip()]})
    with pytest.raises(TypeError, match=r"input_action\['x'\] is 3: expected an Action"):
        EquiTuned(Heads(), {"x": 3}, KEEP)
    with pytest.raises(ValueError, match="output_action is None throughout"):
        EquiTuned(Heads(), ROTATE, {"a": None})
    with pytest.raises(ValueError, match="input_action is empty"):
        EquiTuned(Heads(), {}, ROTATE)


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
