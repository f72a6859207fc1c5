"""What somebody passes by mistake on the first day: one line says what was meant."""

import pytest
import torch
from small_models import Picture
from torch import nn

from equitune import EquiTuned, actions, equivariance_report

ROTATE = actions.Rotate90()
KEEP = actions.Trivial(ROTATE.group)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: actions.Rotate90(4), r"dims is 4: expected 2 dimensions of the tensor, as \(-2"),
        (lambda: actions.RotateFlip(8), "dims is 8: expected 2 dimensions"),
        (lambda: actions.Rotate90("xy"), "dims is 'xy': expected 2 dimensions"),
        (lambda: actions.CubeRotations(24), r"reflections is 24: expected False \(24\) or True"),
        (lambda: actions.CubeRotations(dims=3), "dims is 3: expected 3 dimensions"),
    ],
    ids=["order", "order with mirrors", "letters", "order of the cube", "one axis"],
)
def test_the_order_of_a_group_is_not_an_argument_of_its_action(make, said):
    with pytest.raises(TypeError, match=said):
        make()


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x,), lambda x: {"x": x}])
@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (actions.Rotate90, r"is the class Rotate90, which is to be called, as Rotate90\(\):"),
        (ROTATE.group, r"is the group .*, which does not say how tensors move: expected an Action"),
    ],
    ids=["class", "group"],
)
def test_a_class_or_a_group_is_not_an_action(wrap, passed, said):
    with pytest.raises(TypeError, match=said):
        EquiTuned(Picture(), wrap(passed), KEEP)
    with pytest.raises(TypeError, match=f"output_action.* {said}"):
        EquiTuned(Picture(), ROTATE, wrap(passed))


@pytest.mark.parametrize("dedupe", [False, True])
def test_an_output_that_its_action_does_not_take_is_named_as_the_output(dedupe):
    model = EquiTuned(Picture(classes=True), ROTATE, ROTATE, dedupe=dedupe)
    said = (
        r"^output_action \(Rotate90\) does not fit what Picture returns: Rotate90 got shape "
        r"\(2, 3\).*; an output that does not move, as class logits, has Trivial\(group\)$"
    )
    with pytest.raises(ValueError, match=said):
        model(torch.randn(5, 2, 6, 6))


def test_an_argument_that_the_module_does_not_take_is_named_at_once():
    with pytest.raises(ValueError, match=r"'pixels', which Picture\.forward does not take: .* x$"):
        EquiTuned(Picture(), {"pixels": ROTATE}, ROTATE)


class AnyNames(nn.Module):
    """As models of transformers: the first argument has a name, and others may follow."""

    def forward(self, pixel_values, **more):
        return {"logits": pixel_values.mean((-2, -1))}


def test_an_argument_without_an_action_is_called_by_its_name():
    model = EquiTuned(AnyNames(), {"pixels": ROTATE}, {"logits": KEEP})
    with pytest.raises(ValueError, match=r"^input 0 \(pixel_values\) is a tensor .* without an"):
        model(torch.randn(2, 3, 4, 4))


def test_the_report_takes_the_one_input_of_a_dictionary_as_it_is():
    model, x = (
        EquiTuned(AnyNames(), {"pixel_values": ROTATE}, {"logits": KEEP}),
        torch.randn(2, 3, 4, 4),
    )
    how = ({"pixel_values": ROTATE}, {"logits": KEEP})
    assert equivariance_report(model, *how, x) == equivariance_report(
        model, *how, {"pixel_values": x}
    )
    by_function = equivariance_report(
        lambda pixel_values: model(pixel_values)["logits"], {"pixel_values": ROTATE}, KEEP, x
    )
    assert "is equivariant under" in by_function
    two = {"pixel_values": ROTATE, "more": ROTATE}
    with pytest.raises(ValueError, match=r"with the same names, pixel_values, more$"):
        equivariance_report(model, two, {"logits": KEEP}, x)


def test_a_model_of_several_outputs_is_told_how_to_name_one():
    said = r"a mapping with the entries logits: .* output_action= a tree of .*\"logits\": Trivial"
    with pytest.raises(TypeError, match=said):
        equivariance_report(AnyNames(), ROTATE, KEEP, torch.randn(2, 3, 4, 4))
