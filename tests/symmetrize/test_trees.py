"""Several inputs and outputs, nested, by name, optional: each as the plain loop over g."""

import gc
import weakref

import pytest
import torch
from small_trees import KEEP, ROTATE, TREES, Heads, entries, images, loop, same
from torch import nn

from equitune.actions import Flip
from equitune.symmetrize import EquiTuned


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


@pytest.mark.parametrize("kind", TREES)
def test_what_a_call_took_and_gave_is_gone_without_the_garbage_collector(kind):
    model, x = EquiTuned(Heads(kind).double(), ROTATE, TREES[kind]), images()
    model(x)  # the first call tries rows, too
    gc.collect()
    gc.disable()
    try:
        y = model(x)
        sum(each.sum() for each in entries(y)).backward()
        kept = [weakref.ref(each) for each in (x, *entries(y))]
        del x, y
        assert [each() for each in kept] == [None] * len(kept)
    finally:
        gc.enable()


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
