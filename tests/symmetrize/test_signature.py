"""What asks a wrapper for the names of its arguments is told its module's."""

import copy
import inspect
import pickle

import pytest
import torch
from small_models import Picture, Two
from torch import nn

from equitune.actions import Rotate90, Trivial
from equitune.symmetrize import EquiTuned

CPU = torch.device("cpu")
ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)


def images(batch=3):
    return torch.randn(batch, 2, 5, 5)


def test_forward_has_the_parameters_of_the_module():
    class Scaled(nn.Module):
        def forward(self, image: torch.Tensor, scale: float = 2.0, device=CPU):
            return image * scale

    model = EquiTuned(Scaled(), ROTATE, ROTATE)
    assert str(inspect.signature(model.forward)) == "(image, scale=2.0, device=Ellipsis)"
    assert "**named" in str(inspect.signature(EquiTuned.forward))
    assert "Return M_G(x)" in model.forward.__doc__


def test_a_module_that_hides_its_parameters_leaves_them_open():
    class Hidden(nn.Module):
        forward = staticmethod(torch.relu)

    model = EquiTuned(Hidden(), ROTATE, ROTATE)
    assert "*inputs" in str(inspect.signature(model.forward))
    assert model(images()).shape == (3, 2, 5, 5)


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_have_it_and_run_themselves(again):
    model = EquiTuned(Picture(), ROTATE, ROTATE)
    other = again(model)
    assert inspect.signature(other.forward) == inspect.signature(model.forward)
    assert other.forward.__self__ is other
    x = images()
    torch.testing.assert_close(other(x), model(x), atol=0, rtol=0)


def test_an_assigned_forward_goes_before():
    model = EquiTuned(Picture(), ROTATE, ROTATE)
    model.forward = lambda x: x + 1  # as accelerate does
    assert torch.equal(model(torch.zeros(2)), torch.ones(2))


@pytest.mark.parametrize("strict", [False, True])
def test_one_free_size_by_place_is_enough_for_torch_export(strict):
    batch = torch.export.Dim("batch")
    model = EquiTuned(Picture(), ROTATE, ROTATE).eval()
    shapes = ({0: batch},)
    graph = torch.export.export(model, (images(),), dynamic_shapes=shapes, strict=strict).module()
    for x in (images(1), images(7)):
        torch.testing.assert_close(graph(x), model(x))


@pytest.mark.parametrize("by_name", [False, True])
def test_free_sizes_of_several_arguments(by_name):
    batch = torch.export.Dim("batch")
    model = EquiTuned(Two(), (ROTATE, KEEP), ROTATE).eval()
    free = {0: batch}
    shapes = {"vector": free, "image": free} if by_name else (free, free)
    example = images(), torch.randn(3, 5)
    graph = torch.export.export(model, example, dynamic_shapes=shapes).module()
    x, vector = images(4), torch.randn(4, 5)
    torch.testing.assert_close(graph(x, vector), model(x, vector))
