"""Two actions on one tensor, and graphs, whose features and adjacency move together."""

import pytest
import torch
from small_actions import C2, C4, S3
from torch import nn

from equitune import EquiTuned, assert_equivariant
from equitune.actions import (
    AxisPermutation,
    Compose,
    Flip,
    Permute,
    Product,
    Regular,
    Rotate,
    Rotate90,
    TokenPermutation,
    Trivial,
)
from equitune.groups import ProductGroup


def test_a_p4_feature_turns_and_shifts():
    """The lifting convolution of p4 networks: its filters turned by g, written out."""
    f, filters = torch.randn(2, 1, 6, 6).double(), torch.randn(5, 1, 3, 3).double()
    rotate = Rotate90()

    def lift(f):
        maps = [nn.functional.conv2d(f, rotate(g, filters), padding=1) for g in range(4)]
        return torch.stack(maps, 2)  # (batch, channels, 4, size, size)

    p4 = Product(rotate, Regular(C4, axis=2))
    assert_equivariant(lift, rotate, p4, f)
    for half in (Product(rotate, Trivial(C4)), Product(Trivial(C4), Regular(C4, axis=2))):
        with pytest.raises(AssertionError, match="NOT equivariant"):
            assert_equivariant(lift, rotate, half, f)


def test_heat_maps_of_joints_mirror_and_change_places():
    maps = Product(Flip(), AxisPermutation(C2, [[0, 1, 2], [1, 0, 2]], axis=1))
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(maps(1, x), x[:, [1, 0, 2]].flip(-1))


def test_composed_groups_act_by_pairs():
    rotate, channels = Rotate90(), AxisPermutation(S3, S3.permutations, 1)
    both, x = Compose(rotate, channels), torch.randn(2, 3, 4, 4)
    assert both.group == ProductGroup(C4, S3)
    for g in range(4):
        for h in range(6):
            assert torch.equal(both(g * 6 + h, x), rotate(g, channels(h, x)))
    words = TokenPermutation(C2, [[0, 1, 2], [1, 0, 2]])
    ids = Compose(Trivial(C4), words)
    assert ids(3, torch.tensor([[0, 2]])).tolist() == [[1, 2]]


def test_actions_that_do_not_commute_are_refused():
    upper, cyclic = AxisPermutation(C2, [[0, 1, 2], [1, 0, 2]]), AxisPermutation(S3, S3.table[:6])
    with pytest.raises(ValueError, match=r"do not commute on shape \(2, 6\), for elements 1 and"):
        Compose(Regular(S3), cyclic)(0, torch.zeros(2, 6))  # also where x cannot show it
    ids = AxisPermutation(C2, [[0, 1, 2], [0, 2, 1]])
    with pytest.raises(ValueError, match="do not commute"):
        Product(upper, ids)(1, torch.arange(6).reshape(2, 3))
    with pytest.raises(ValueError, match="do not commute"):
        Product(upper, ids)(1, torch.tensor([[True, False, False]]))
    p4 = Product(Rotate90(), Regular(C4, axis=0))  # without a batch
    assert p4(1, torch.ones(4, 3, 3) > 0).dtype == torch.bool
    Product(upper, upper)(1, torch.ones(2, 3))  # abelian, and so a product of representations
    with pytest.raises(ValueError, match="expected one group; Compose takes actions of two"):
        Product(Rotate90(), Flip())
    with pytest.raises(TypeError, match="3 is not an Action"):
        Compose(Rotate90(), 3)


def test_a_product_is_as_exact_as_its_parts():
    nearly = Product(Rotate(4), Regular(C4, axis=1))
    assert not nearly.exact
    nearly(1, torch.randn(2, 4, 9, 9))
    assert Product(Rotate90(), Regular(C4, axis=1)).exact


class Messages(nn.Module):
    """One step of messages, (batch, nodes, 4), with weights for each node: it follows no group."""

    def __init__(self):
        super().__init__()
        self.own = nn.Parameter(torch.randn(3, 4, 4))

    def forward(self, features, adjacency):
        return (adjacency @ torch.einsum("nij,bnj->bni", self.own, features)).tanh()


def test_features_and_adjacency_move_together():
    nodes = Permute(S3, S3.permutations)
    features, adjacency = torch.randn(2, 3, 4).double(), torch.rand(2, 3, 3).double()
    moved = nodes.on_adjacency()(3, adjacency)
    place = S3.permutations[3]
    for v in range(3):
        assert torch.equal(nodes(3, features)[:, place[v]], features[:, v])
        for w in range(3):
            assert torch.equal(moved[:, place[v], place[w]], adjacency[:, v, w])
    net, both = Messages().double(), (nodes, nodes.on_adjacency())
    model = EquiTuned(net, both, nodes)
    assert_equivariant(model, both, nodes, features, adjacency)
    with pytest.raises(AssertionError, match="NOT equivariant"):
        assert_equivariant(net, both, nodes, features, adjacency)
    alone = (nodes, Trivial(S3))  # an adjacency that stays is another graph
    with pytest.raises(AssertionError, match="NOT equivariant"):
        assert_equivariant(model, alone, nodes, features, adjacency)
    edges = torch.randn(2, 3, 3, 5)
    assert torch.equal(
        nodes.on_adjacency((1, 2))(3, edges)[..., 0], nodes.on_adjacency()(3, edges[..., 0])
    )
