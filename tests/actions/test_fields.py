"""Fields: the vector at a pixel goes where the pixel goes, and turns."""

import pytest
import torch
from small_actions import C4, D4, FLOW, polygon

from equitune import check_action
from equitune.actions import (
    Action,
    AxisPermutation,
    CubeRotations,
    Field,
    Flip,
    FlipVertical,
    HalfTurn,
    Linear,
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
    Vectors,
    vector_components,
)

PIXELS = [Rotate90(), RotateFlip(), HalfTurn(), Flip(), FlipVertical()]
each = pytest.mark.parametrize("pixels", PIXELS, ids=repr)


@each
@pytest.mark.parametrize(
    "names", [FLOW, ("row", "column"), ("column", "-row"), ("-column", "-row")], ids="-".join
)
def test_a_gradient_moves_as_the_gradient_of_the_moved_image(pixels, names):
    vectors = Vectors(pixels, names)
    check_action(Field(pixels, names), torch.randn(2, 2, 5, 5), vectors=vectors)
    last = Vectors(pixels, names, axis=-1)
    along = vector_components(pixels, names, axis=-1)
    check_action(Field(pixels, along), torch.randn(2, 5, 5, 2), vectors=last)


@each
def test_a_hand_made_field_that_moves_pixels_alone_is_caught(pixels):
    class Wrong(Action):
        def act(self, g, x):
            return pixels.act(g, x)

    wrong, v = Wrong(pixels.group), torch.randn(2, 2, 5, 5)
    check_action(wrong, v)  # it keeps every law
    with pytest.raises(ValueError, match="the vector components did not turn"):
        check_action(wrong, v, vectors=Vectors(pixels, FLOW))
    turned = Field(pixels, ("row", "column"))  # of components that stand in the other order
    if pixels.group.order > 2:
        with pytest.raises(ValueError, match="vectors turn the wrong way"):
            check_action(turned, v, vectors=Vectors(pixels, FLOW))


def test_one_arrow_by_hand():
    """A quarter turn, counter-clockwise: at the right edge and upwards → at the top, leftwards."""
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, :, 1, 2] = torch.tensor([0.0, -1.0])  # (column, row): x to the right, y downwards
    expected = torch.zeros(1, 2, 3, 3)
    expected[0, :, 0, 1] = torch.tensor([-1.0, 0.0])
    assert torch.equal(Field(Rotate90(), FLOW)(1, flow), expected)


def test_equation_pixel_by_pixel():
    """(g·v)(p) = ρ(g) v(g⁻¹p), with g⁻¹p read off an image of places."""
    pixels, v = RotateFlip(), torch.randn(2, 4, 4, dtype=torch.float64)
    places = torch.arange(16).reshape(1, 4, 4)
    field = Field(pixels, ("row", "column"))
    for g in D4.elements:
        before = pixels(g, places)[0]
        moved = field(g, v[None])[0]
        for i in range(4):
            for j in range(4):
                source = v.flatten(1)[:, before[i, j]]
                torch.testing.assert_close(moved[:, i, j], pixels.matrices[g] @ source)


def test_voxels_of_a_gradient():
    """∇ of a moved volume is the moved ∇, by periodic differences."""
    cube = CubeRotations(reflections=True)
    f = torch.randn(2, 4, 4, 4, dtype=torch.float64)

    def gradient(f):
        return torch.stack([(f.roll(-1, d) - f.roll(1, d)) / 2 for d in (-3, -2, -1)], 1)

    field = Field(cube, ("depth", "row", "column"))
    for g in cube.group.elements:
        torch.testing.assert_close(field(g, gradient(f)), gradient(cube(g, f)))


def test_forces_turn_without_pixels():
    forces = vector_components(Rotate90(), ("column", "-row"))  # x to the right, y upwards
    turned = forces(1, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0]]))
    slices = vector_components(Rotate90(), ("depth", "row", "column"))
    assert slices(1, torch.tensor([[5.0, 1.0, 0.0]])).tolist() == [[5.0, 0.0, 1.0]]


def test_positive_axes_of_pixels_are_those_of_an_image_without_components():
    pixels = AxisPermutation(C4, C4.table, axis=1)
    field = Field(pixels, Linear(C4, torch.tensor(polygon(4)[:4]), axis=1))
    v = torch.randn(3, 2, 4, 5)
    expected = torch.stack([pixels(1, v[:, 0]), pixels(1, v[:, 1])], 1)
    turned = torch.stack([-expected[:, 1], expected[:, 0]], 1)
    torch.testing.assert_close(field(1, v), turned)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Field(3, FLOW), TypeError, "pixels is 3: expected an Action"),
        (lambda: Field(Rotate90(), Rotate90()), TypeError, "does not move the entries of one axis"),
        (
            lambda: Field(Rotate90(), Linear(D4, polygon(4))),
            ValueError,
            r"components moves by DihedralGroup\(4\), pixels by CyclicGroup\(4\)",
        ),
        (lambda: Field(Rotate90(), ("x", "y")), ValueError, "component 'x': expected one of depth"),
        (lambda: Field(Rotate90(), ("row",)), ValueError, "leave out directions .* row, column"),
        (lambda: Field(Rotate90(), ("row", "-row")), ValueError, "name a direction twice"),
        (lambda: Field(Trivial(C4), FLOW), ValueError, "does not say how positions move: pass Lin"),
        (lambda: Field(Flip(1), FLOW), ValueError, r"Flip\(1\) may reverse time or channels"),
        (
            lambda: Field(TokenPermutation(C4, C4.table), FLOW),
            ValueError,
            "does not say how positions move",
        ),
        (lambda: Field(Rotate90(), FLOW)(1, torch.ones(4)), ValueError, r"shape \(4,\): expected"),
    ],
    ids=["pixels", "components", "group", "x", "one", "twice", "still", "time", "ids", "shape"],
)
def test_what_is_no_field_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_mirror_leaves_one_component_alone():
    """Both components are not needed where the group does not mix them."""
    height = Field(FlipVertical(), ("row",))
    v = torch.randn(2, 1, 3, 4)
    assert torch.equal(height(1, v), -v.flip(-2))
