"""Quarter turns of oblong images, half turns, flips of any axis; descriptions of older versions."""

import pytest
import torch
from torch import nn

from equitune import Canonical, EquiTuned
from equitune.actions import (
    Flip,
    FlipVertical,
    HalfTurn,
    Rotate90,
    RotateFlip,
    Trivial,
    from_config,
)

QUARTERS = [Rotate90(square=False), RotateFlip(square=False)]
KEEP = Trivial(QUARTERS[0].group)
each = pytest.mark.parametrize("action", QUARTERS, ids=repr)


def first_value(x):
    return x.flatten(1)[:, 0]


class Count(nn.Module):
    """A classifier of images of any shape, which knows rows from columns."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, (2, 3))

    def forward(self, x):
        return self.conv(x).tanh().mean((-2, -1))


@each
def test_oblong_images_come_in_two_batches_of_one_shape_each(action):
    x = torch.randn(3, 2, 4, 6)
    batches = action.batches(x)
    assert [copies.shape[1:] for _, copies in batches] == [(3, 2, 4, 6), (3, 2, 6, 4)]
    assert sorted(g for elements, _ in batches for g in elements) == list(action.group.elements)
    for elements, copies in batches:
        for g, copy in zip(elements, copies, strict=True):
            expected = torch.rot90(x.flip(-1) if g >= 4 else x, g % 4, (-2, -1))
            assert torch.equal(copy, expected)
            assert torch.equal(action.inverse(g, copy), x)
    square = action.batches(x[..., :4])
    assert len(square) == 1
    assert torch.equal(square[0][1], action.orbit(x[..., :4]))


@each
def test_the_mean_over_two_batches_is_that_of_single_copies(action):
    """By hand over `batches`, and by EquiTuned one copy at a time."""
    x, net, keep = torch.randn(3, 2, 4, 6), Count(), Trivial(action.group)
    by_hand = sum(
        net(copies.flatten(0, 1)).unflatten(0, copies.shape[:2]).sum(0)
        for _, copies in action.batches(x)
    )
    model = EquiTuned(net, action, keep, chunk_size=1)
    torch.testing.assert_close(model(x), by_hand / action.group.order)
    for g in action.group.elements:
        torch.testing.assert_close(model(action(g, x)), model(x))


@each
def test_a_mask_of_an_oblong_image_turns_back_to_its_shape(action):
    x, conv = torch.randn(2, 2, 4, 6).double(), nn.Conv2d(2, 3, (3, 1), padding=(1, 0)).double()

    def mean(x):
        masks = [
            action.inverse(g, conv(copy))
            for elements, copies in action.batches(x)
            for g, copy in zip(elements, copies, strict=True)
        ]
        return torch.stack(masks).mean(0)

    assert mean(x).shape == (2, 3, 4, 6)
    for g in action.group.elements:
        torch.testing.assert_close(mean(action(g, x)), action(g, mean(x)))


def test_oblong_images_are_refused_where_copies_are_stacked():
    x = torch.randn(2, 2, 4, 6)
    for call in (
        lambda: QUARTERS[0].orbit(x),
        lambda: QUARTERS[0](torch.tensor([0, 1]), x),
        lambda: EquiTuned(Count(), QUARTERS[0], KEEP, Canonical(first_value))(x),
    ):
        with pytest.raises(ValueError, match=r"two shapes and cannot .*batches\(x\)"):
            call()
    with pytest.raises(ValueError, match="pass square=False"):
        Rotate90()(1, x)
    with pytest.raises(ValueError, match="expected those of rows and of columns"):
        Rotate90((1, 1))
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        Rotate90((-3, -2))(1, torch.ones(4, 4))


def test_planes_and_axes_by_loops():
    x = torch.randn(2, 3, 3, 4)
    last = Rotate90((1, 2))(1, x)
    for i in range(3):
        for j in range(3):
            assert torch.equal(last[:, i, j], x[:, j, 2 - i])
    assert torch.equal(Rotate90((-3, -2))(3, x), Rotate90((1, 2))(3, x))
    assert torch.equal(Flip(1)(1, x)[:, 0], x[:, 2])
    assert torch.equal(FlipVertical()(1, x)[..., 0, :], x[..., 2, :])
    assert torch.equal(HalfTurn()(1, x)[..., 0, 1], x[..., 2, 2])
    with pytest.raises(ValueError, match=r"Flip got shape \(2,\): expected a dimension 1"):
        Flip(1)(1, torch.ones(2))
    with pytest.raises(ValueError, match=r"HalfTurn got shape \(2,\): expected \(…, height, width"):
        HalfTurn()(1, torch.ones(2))


@pytest.mark.parametrize(
    "action", [Rotate90(), RotateFlip(), HalfTurn(), Flip(), Flip(-2), FlipVertical()], ids=repr
)
def test_matrices_say_where_pixels_go(action):
    rows, columns = torch.meshgrid(torch.arange(-1.0, 2), torch.arange(-1.0, 2), indexing="ij")
    for g, rho in enumerate(action.matrices.float()):
        row, column = action(g, rows), action(g, columns)  # where each pixel came from
        came = torch.stack([row, column]).flatten(1)
        assert torch.equal(rho @ came, torch.stack([rows, columns]).flatten(1))


def test_descriptions_of_an_earlier_version_are_read_and_kept():
    """What a state dict's fingerprint was made of has not changed."""
    for action, order in ((Rotate90(), 4), (RotateFlip(), 4), (Flip(), 2)):
        config = action.config()
        assert config.keys() == {"action", "group"}
        assert config["group"]["n"] == order
        assert repr(from_config(config)) == repr(action)
    assert repr(Rotate90()) == "Rotate90(CyclicGroup(4))"
    assert Rotate90((1, 2), square=False).config()["dims"] == [1, 2]
