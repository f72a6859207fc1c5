"""The rotations of the cube, voxel by voxel."""

import pytest
import torch

from equitune.actions import CubeRotations


@pytest.mark.parametrize(("reflections", "order"), [(False, 24), (True, 48)])
def test_all_rotations_and_nothing_else(reflections, order):
    cube = CubeRotations(reflections)
    rho = cube.matrices
    assert cube.group.order == len(rho) == order
    assert len({tuple(m.flatten().tolist()) for m in rho}) == order
    assert torch.equal(rho @ rho.mT, torch.eye(3).double().expand(order, 3, 3))
    signs = torch.linalg.det(rho).round()
    assert (signs == 1).sum() == 24
    assert cube.group.names[0] == "drc"
    assert torch.equal(rho[0], torch.eye(3).double())
    for g in cube.group.elements:
        for h in cube.group.elements:
            assert torch.equal(rho[g] @ rho[h], rho[cube.group.multiply(g, h)])


def test_each_voxel_goes_where_its_position_goes():
    cube, x = CubeRotations(reflections=True), torch.arange(27).reshape(3, 3, 3)
    for g, rho in enumerate(cube.matrices.long()):
        moved = cube(g, x)
        for place in torch.cartesian_prod(*[torch.arange(3)] * 3):
            target = rho @ (place - 1) + 1
            assert moved[tuple(target)] == x[tuple(place)]


def test_names_say_what_becomes_of_the_axes():
    cube = CubeRotations()
    x = torch.randn(2, 2, 2)
    g = cube.group.names.index("r-dc")
    assert torch.equal(cube(g, x), x.permute(1, 0, 2).flip(1))


def test_other_axes_and_shapes():
    last, first = CubeRotations(dims=(1, 2, 3)), CubeRotations()
    x = torch.randn(2, 3, 3, 3, 5)
    for g in range(24):
        assert torch.equal(last(g, x), first(g, x.movedim(-1, 1)).movedim(1, -1))
    with pytest.raises(ValueError, match=r"\(2, 3, 3, 4\): expected \(…, size, size, size\)"):
        first(1, torch.ones(2, 3, 3, 4))
    with pytest.raises(ValueError, match="expected three, of depth"):
        CubeRotations(dims=(1, 1, 2))
