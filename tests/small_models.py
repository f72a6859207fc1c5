"""Small models with their actions, and checks written out, for the tests of `EquiTuned`."""

import pytest
import torch
from torch import nn

from equitune.actions import (
    Flip,
    Regular,
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
)
from equitune.groups import CyclicGroup, DihedralGroup, ProductGroup, SymmetricGroup
from equitune.symmetrize import Mean, Select, Weighted

S3 = SymmetricGroup(3)
GROUPS = [
    CyclicGroup(3),
    CyclicGroup(4),
    DihedralGroup(4),
    S3,
    ProductGroup(CyclicGroup(2), S3),
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def rows_of(group):
    """The group on its own elements and on two points that stay."""
    rows = [[group.multiply(g, h) for h in group.elements] for g in group.elements]
    return [[*row, group.order, group.order + 1] for row in rows]


class Picture(nn.Module):
    """A small image model: (batch, 2, size, size) to (batch, 3, size, size) or classes."""

    def __init__(self, norm=nn.Identity, dropout=0.0, classes=False):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = norm(4)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Conv2d(4, 3, 3, padding=1)
        self.classes = classes

    def forward(self, x):
        x = self.out(self.drop(self.norm(self.conv(x)).tanh()))
        return x.mean((-2, -1)) if self.classes else x


class Words(nn.Module):
    """A small token model: ids (batch, positions) to logits (batch, positions, vocabulary)."""

    def __init__(self, size):
        super().__init__()
        self.embed = nn.Embedding(size, 6)
        self.mix = nn.GRU(6, 5, batch_first=True)
        self.out = nn.Linear(5, size)
        self.rows = 0

    def forward(self, x):
        self.rows += len(x)
        return self.out(self.mix(self.embed(x))[0])


class Square(nn.Module):
    """A linear map without bias, (batch, size, …) to (batch, size, …) along dimension 1."""

    def __init__(self, size, out=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out or size, size))

    def forward(self, x):
        return torch.einsum("ij,bj...->bi...", self.weight, x)


def plain_loop(module, input_action, output_action, x):
    """1/|G| Σ_g g⁻¹ M(gx), one example and one element at a time."""
    group, results = input_action.group, []
    for example in x:
        total = 0
        for g in group.elements:
            back = next(h for h in group.elements if group.multiply(h, g) == group.identity)
            total = total + output_action(back, module(input_action(g, example[None])))
        results.append(total / group.order)
    return torch.cat(results)


def models(dtype):
    """(model, input action, output action, inputs) for images, tokens and features."""
    for rotation in (Rotate90(), RotateFlip(), Flip()):
        x = torch.randn(2, 2, 5, 5, dtype=dtype)
        yield Picture().to(dtype), rotation, rotation, x
        yield Picture(classes=True).to(dtype), rotation, Trivial(rotation.group), x
    for group in GROUPS:
        words = TokenPermutation(group, rows_of(group))
        x = torch.randint(words.size, (3, 4))
        yield Words(words.size).to(dtype), words, words.on_logits(), x
        n = group.order
        x = torch.randn(3, n, 2, dtype=dtype)
        yield Square(n).to(dtype), Regular(group), Regular(group), x


each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
COMBINATIONS = {
    "mean": lambda: Mean(),
    "weighted": lambda: Weighted(Norm()),
    "select": lambda: Select(lambda y: -y.flatten(1).amax(1)),
}


class Norm(nn.Module):
    """A positive weight for each example that changes with every action.

    The sum's terms are below 1, so that its sine loses no digits in float32.
    """

    def forward(self, y):
        count = y[0].numel()
        return (y.flatten(1) * torch.arange(1, count + 1) / count).sum(1).sin().exp()


def check_equivariant(model, x, tolerance):
    """f(gx) = g f(x), written out."""
    action, output_action = model.input_actions[0], model.output_action
    with torch.no_grad():
        y = model(x)
        for g in model.group.elements:
            difference = (model(action(g, x)) - output_action(g, y)).abs().max()
            assert difference <= tolerance * y.abs().max()


class Two(nn.Module):
    """A model of an image and a vector that does not move."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.shift = nn.Linear(5, 3)

    def forward(self, image, vector):
        return (self.conv(image) + self.shift(vector)[:, :, None, None]).tanh()


class Peak(nn.Module):
    """A weight for each position, (batch, positions, 1), which depends on where the peak is."""

    def forward(self, y):
        return (1.0 + y.argmax(-1, keepdim=True)).sqrt()


def symmetric_conv(inputs, outputs, **settings):
    """A convolution whose kernels are the same after any quarter turn and mirror image."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, **settings)
    with torch.no_grad():  # few binary digits, so that the mean over the copies is exact
        conv.weight.copy_(RotateFlip().orbit((conv.weight * 256).round() / 256).mean(0))
    return conv


def network(**changes):
    """An equivariant classifier of images; changes replace its layers by name."""
    layers = {
        "first": symmetric_conv(2, 4),
        "norm": nn.BatchNorm2d(4),
        "relu": nn.ReLU(inplace=True),
        "second": symmetric_conv(4, 4),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "head": nn.Linear(4, 3),
    }
    model = nn.Sequential()
    for name, layer in (layers | changes).items():
        model.add_module(name, layer)
    return model


def images(size=6, dtype=torch.float32):
    return torch.randn(3, 2, size, size, dtype=dtype)
