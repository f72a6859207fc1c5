"""Every action of the package that is not by one permutation of tokens, with inputs for it."""

import math

import torch
from hypothesis import strategies as st

from equitune import actions
from equitune.actions import (
    AxisPermutation,
    Boxes,
    Compose,
    CubeRotations,
    Field,
    Flip,
    FlipVertical,
    HalfTurn,
    Linear,
    Matrix,
    Permute,
    Points,
    Product,
    Regular,
    Rotate,
    Rotate90,
    RotateFlip,
    SignedPermutation,
)
from equitune.groups import CyclicGroup, DihedralGroup, SymmetricGroup

C2, C4, S3 = CyclicGroup(2), CyclicGroup(4), SymmetricGroup(3)
D3, D4 = DihedralGroup(3), DihedralGroup(4)


def polygon(n):
    """DihedralGroup(n) on the plane: rotations by 2πk/n, the reflection (x, -y) first."""
    matrices = []
    for mirrored in (False, True):
        for k in range(n):
            c, s = math.cos(2 * math.pi * k / n), math.sin(2 * math.pi * k / n)
            matrices.append([[c, s], [s, -c]] if mirrored else [[c, -s], [s, c]])
    return matrices


def permutation_matrices(group, rows):
    """(order, size, size) with a 1 at [g·v, v]."""
    size = len(rows[0])
    matrices = torch.zeros(group.order, size, size, dtype=torch.float64, device="cpu")
    for g, row in enumerate(rows):
        for v, w in enumerate(row):
            matrices[g, w, v] = 1.0
    return matrices


JOINTS = [[0, 1, 2, 3], [1, 0, 2, 3]]
SIGNS = [[1, 1, 1, 1], [-1, -1, 1, -1]]
FLOW = ("column", "row")

# by name: the action, and the shape of an example that it moves, with s for any size
EXACT = {
    "linear-d3": (lambda: Linear(D3, polygon(3), 1), (2, "s")),
    "linear-d4-float32": (lambda: Linear(D4, torch.tensor(polygon(4), device="cpu")), ("s", 2)),
    "linear-s3": (lambda: Linear(S3, permutation_matrices(S3, S3.permutations), -2), (3, "s")),
    "signed": (lambda: SignedPermutation(C2, JOINTS, SIGNS), ("s", 4)),
    "signed-d4": (lambda: SignedPermutation(D4, *signed_polygon(), axis=1), (2, "s")),
    "matrix-d3": (lambda: Matrix(Linear(D3, polygon(3))), ("s", 2, 2)),
    "matrix-axes": (lambda: Matrix(AxisPermutation(S3, S3.permutations), (1, 3)), (3, "s", 3)),
    "field-rotate": (lambda: Field(Rotate90(), FLOW), (2, "s", "s")),
    "field-mirror": (
        lambda: Field(RotateFlip(), actions.vector_components(RotateFlip(), ("row", "column"))),
        ("s", "s", 2),
    ),
    "field-up": (lambda: Field(FlipVertical(), ("column", "-row")), (2, "s", "t")),
    "field-volume": (
        lambda: Field(CubeRotations(), ("depth", "row", "column")),
        (3, "s", "s", "s"),
    ),
    "field-regular": (lambda: Field(Rotate90(), Regular(C4, 1)), (4, "s", "s")),
    "points-pixels": (lambda: Points(RotateFlip(), "pixels", (8, 8)), ("s", 2)),
    "points-edges": (lambda: Points(Flip(), "edges", (6, 9), swapped=[(0, 1)]), (3, 2)),
    "points-space": (
        lambda: Points(CubeRotations(True), "centred", components=("row", "-column", "depth")),
        ("s", 3),
    ),
    "boxes-corners": (lambda: Boxes(RotateFlip(), "xyxy", "edges", (7, 7)), ("s", 4)),
    "boxes-centres": (lambda: Boxes(Rotate90(), "cxcywh", "fractions"), ("s", 4)),
    "product": (lambda: Product(RotateFlip(), Regular(D4, 2)), ("s", 8, "t", "t")),
    "compose": (
        lambda: Compose(Rotate90(), AxisPermutation(S3, S3.permutations, 1)),
        (3, "s", "s"),
    ),
    "half-turn": (HalfTurn, ("s", "t")),
    "flip": (lambda: Flip(2), ("s", "t")),
    "flip-vertical": (FlipVertical, ("s", "t")),
    "rotate90-channels-last": (lambda: Rotate90((-3, -2)), ("s", "s", "t")),
    "rotateflip-plane": (lambda: RotateFlip((1, 3)), ("s", "t", "s")),
    "cube": (CubeRotations, ("t", "s", "s", "s")),
    "cube-mirrors": (lambda: CubeRotations(True, (1, 2, 3)), ("s", "s", "s", "t")),
    "nodes": (lambda: Permute(S3, S3.permutations), (3, "s")),
    "adjacency": (lambda: Permute(S3, S3.permutations).on_adjacency(), (3, 3)),
}
# rotations that interpolate
NEARLY = {
    "rotate": (lambda: Rotate(8), ("s", 9, 9)),
    "rotate-bicubic": (lambda: Rotate(5, "bicubic", disc=False), (9, 9)),
    "rotate-field": (lambda: Field(Rotate(3), FLOW), (2, 8, 8)),
}
ALL = {**EXACT, **NEARLY}


def of_group(group, generator):
    """Actions of any group, made of its regular one, each with the shape of an example."""
    n = group.order
    turn, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    linear = Linear(group, turn @ permutation_matrices(group, group.table) @ turn.T, 1)
    signs = 2 * torch.randint(2, (n,), generator=generator) - 1
    # s(g, v) = t(g·v) t(v) is one for which places and signs belong together
    signed = [[int(signs[group.multiply(g, v)] * signs[v]) for v in range(n)] for g in range(n)]
    nodes = Permute(group, group.table)
    return {
        "linear": (linear, (n, "s")),
        "matrix": (Matrix(linear), ("s", n, n)),
        "signed": (SignedPermutation(group, group.table, signed), ("s", n)),
        "nodes": (nodes, (n, "s")),
        "adjacency": (nodes.on_adjacency((1, 2)), (n, n, "s")),
        "product": (Product(linear, nodes), (n, n, "s")),
        "compose": (Compose(Regular(group), Regular(C2, 2)), (n, 2, "s")),
    }


def signed_polygon():
    """DihedralGroup(4) on the plane, whose matrices hold only 0, 1 and -1, as places and signs."""
    rho = torch.tensor(polygon(4), device="cpu").round()
    return rho.abs().argmax(1).tolist(), rho.sum(1).long().tolist()


def example(shape, size, other):
    """A shape with numbers for s and t."""
    return tuple({"s": size, "t": other}.get(n, n) for n in shape)


def examples(name, batch=2, size=3, other=4, dtype=torch.float64):
    """An input (batch, …) for an action."""
    return torch.randn(batch, *example(ALL[name][1], size, other), dtype=dtype)


sizes = st.integers(1, 5)
