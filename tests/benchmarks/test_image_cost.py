"""The arithmetic of the cost benchmark; how long anything takes is not tested."""

import importlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equitune import EquiTuned
from equitune.actions import Rotate90, Trivial
from equitune.image.data import Images

SIZE, CLASSES = 16, 10


@pytest.fixture(scope="module")
def cost(root):
    """The script as a module; it stands beside the modules it imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        yield importlib.import_module("image_cost")


@pytest.fixture
def images():
    """Four images of noise."""
    pixels = torch.randint(256, (4, 3, SIZE, SIZE), dtype=torch.uint8)
    return Images(pixels, torch.arange(4))


def wide(outputs=CLASSES):
    """Large activations: images (batch, 3, SIZE, SIZE) to (batch, outputs)."""
    convolution = nn.Conv2d(3, 64, 3, padding=1)
    return nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), nn.Linear(64 * SIZE**2, outputs))


def test_peak_is_weights_gradients_and_momentum_where_activations_are_small(cost, images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 1000), nn.Linear(1000, CLASSES))
    weights = sum(p.nbytes for p in model.parameters())
    assert 3 * weights <= cost.peak_bytes(model, images) < 3.2 * weights


def test_peak_has_activations_beside_weights_gradients_and_momentum(cost, images):
    model = wide(4 * CLASSES)  # here the step without momentum would hold less
    weights, activation = model[-1].weight.nbytes, model[0](images.pixels.float()).nbytes
    assert cost.peak_bytes(model, images) >= 3 * weights + activation


def test_peak_grows_with_the_copies_that_pass_together(cost, images):
    rotate = Rotate90()
    peaks = [
        cost.peak_bytes(EquiTuned(wide(), rotate, Trivial(rotate.group), chunk_size=chunk), images)
        for chunk in (1, 2, 4)
    ]
    assert peaks[0] < peaks[1] < peaks[2]


def test_peak_is_the_same_after_other_records(cost, images):
    first, *others = [cost.peak_bytes(wide(), images) for _ in range(3)]
    assert others == [first, first]


def test_training_step_descends_the_mean_loss_of_all_images(cost, images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, CLASSES))
    logits = model(images.pixels / 255)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, images.labels), model[1].weight)
    expected = model[1].weight.detach() - cost.TRAINING.learning_rate * gradient
    cost.training_step(model, images)()
    torch.testing.assert_close(model[1].weight.detach(), expected, rtol=0, atol=1e-7)


def test_row_is_the_median_of_the_ratios_not_the_ratio_of_medians(cost):
    samples = [(4.0, 1.0), (6.0, 3.0), (9.0, 3.0)]
    found = cost.row("orbit_step", ("resnet18", 64, "rotate90"), ("this", "that"), samples)
    assert (found["ratio_low"], found["ratio"], found["ratio_high"]) == (2, 3, 4)
    assert (found["value"], found["denominator_value"], found["rounds"]) == (6, 3, 3)
    assert (found["architecture"], found["size"], found["group"]) == ("resnet18", 64, "rotate90")
    assert (found["numerator"], found["denominator"]) == ("this", "that")


def test_bfloat16_is_left_out_and_said_so_without_the_instructions(cost, monkeypatch, capsys):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert cost.bf16_step(1) == []
    assert "bf16_step left out" in capsys.readouterr().err
