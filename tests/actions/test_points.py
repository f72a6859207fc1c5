"""Points and boxes go where the pixels go, which is seen on images in which they are drawn."""

import pytest
import torch
from small_actions import FLOW

from equitune import EquiTuned
from equitune.actions import (
    Boxes,
    CubeRotations,
    Flip,
    FlipVertical,
    HalfTurn,
    Points,
    Rotate,
    Rotate90,
    RotateFlip,
    Trivial,
)
from equitune.groups import CyclicGroup

SQUARE = [(a, (5, 5)) for a in (Rotate90(), RotateFlip())]
ANY = [(a, (4, 7)) for a in (Flip(), FlipVertical(), HalfTurn())]
each = pytest.mark.parametrize(("pixels", "size"), SQUARE + ANY, ids=repr)


@each
def test_points_in_pixels_stay_on_their_pixels(pixels, size):
    points = Points(pixels, "pixels", size)
    for i in range(size[0]):
        for j in range(size[1]):
            image = torch.zeros(size)
            image[i, j] = 1
            for g in pixels.group.elements:
                row, column = pixels(g, image).nonzero()[0].tolist()
                moved = points(g, torch.tensor([[float(j), float(i)]]))  # (x, y)
                assert moved.tolist() == [[column, row]]


@each
@pytest.mark.parametrize("layout", ["xyxy", "cxcywh"])
@pytest.mark.parametrize("units", ["edges", "fractions"])
def test_boxes_stay_around_their_pixels(pixels, size, layout, units):
    def box(image):
        rows, columns = image.any(1).nonzero(), image.any(0).nonzero()
        ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        x1, y1, x2, y2 = (float(end) for end in ends)
        if units == "fractions":
            x1, x2, y1, y2 = x1 / size[1], x2 / size[1], y1 / size[0], y2 / size[0]
        if layout == "cxcywh":
            return torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
        return torch.tensor([x1, y1, x2, y2])

    boxes = Boxes(pixels, layout, units, size)
    image = torch.zeros(size)
    image[1:3, 2:5] = 1
    for g in pixels.group.elements:
        expected = box(pixels(g, image))
        torch.testing.assert_close(boxes(g, box(image)), expected, rtol=0, atol=1e-6)


def test_coordinates_upwards_and_in_space():
    """y from the lower edge; a point cloud about its centre."""
    up = Points(Rotate90(), "pixels", (5, 5), ("column", "-row"))
    assert up(1, torch.tensor([[4.0, 0.0]])).tolist() == [[4.0, 4.0]]  # lower right → upper right
    cube = CubeRotations(reflections=True)
    cloud = Points(cube, "centred", components=("column", "row", "depth"))
    x = torch.randn(4, 3)
    for g, rho in enumerate(cube.matrices.float()):
        torch.testing.assert_close(cloud(g, x), (x.flip(-1) @ rho.T).flip(-1))
    turned = Points(Rotate(8), "fractions")(1, torch.tensor([[1.0, 0.5]]))
    half = 0.5**0.5 / 2
    torch.testing.assert_close(turned, torch.tensor([[0.5 + half, 0.5 - half]]))
    assert Points(Rotate(8), "fractions").exact  # nothing is interpolated


def test_left_and_right_change_places_in_mirrors_alone():
    joints = Points(RotateFlip(), "centred", swapped=[(1, 2)])
    plain = Points(RotateFlip(), "centred")
    x = torch.randn(2, 4, 2)
    for g in joints.group.elements:
        places = [0, 2, 1, 3] if g >= 4 else [0, 1, 2, 3]
        assert torch.equal(joints(g, x), plain(g, x)[:, places])


def test_the_mean_of_predicted_points_moves_with_the_image():
    """Affine about a centre, and so not linear: a mean is kept all the same."""
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(50, 6), torch.nn.Unflatten(1, (3, 2))
    )
    pixels = RotateFlip()
    points = Points(pixels, "pixels", (5, 5), swapped=[(0, 1)])
    model = EquiTuned(net.double(), pixels, points)
    x = torch.randn(4, 2, 5, 5, dtype=torch.float64)
    for g in pixels.group.elements:
        torch.testing.assert_close(model(pixels(g, x)), points(g, model(x)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Points(Flip(), "px", (3, 3)), "units is 'px': expected one of pixels, edges"),
        (lambda: Points(Flip(), "pixels"), r"size is None: expected \(height, width\)"),
        (lambda: Points(Flip(-3), "edges", (3, 3), ("depth", *FLOW)), r"size is \(3, 3\)"),
        (
            lambda: Points(Rotate90(), "edges", (3, 4)),
            r"size \(3, 4\) does not keep its shape .* equal sides, or units \"fractions\"",
        ),
        (lambda: Points(Rotate(8), "edges", (3, 4)), "does not keep its shape"),
        (lambda: Points(Flip(), "centred", swapped=[(0, 0)]), "pairs of different points"),
        (lambda: Points(Flip(), "centred", swapped=[(0, 1), (1, 2)]), "pairs of different points"),
        (
            lambda: Points(Flip(), "centred", swapped=[(0, 3)])(1, torch.ones(3, 2)),
            "at least 4 points",
        ),
        (lambda: Points(Trivial(CyclicGroup(2)), "centred"), "does not say how positions move"),
        (lambda: Boxes(Flip(), "xywh", "edges", (3, 3)), "layout is 'xywh': expected \"xyxy\""),
        (lambda: Boxes(Rotate(8), "xyxy", "fractions"), "turns boxes off the axes"),
        (lambda: Boxes(Flip(), "xyxy", "edges", (3, 3))(1, torch.ones(2)), "axis -1 .* is 2 long"),
    ],
    ids=[str(i) for i in range(12)],
)
def test_what_cannot_be_points_or_boxes_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
