"""Matrices and signed permutations: right values against plain loops, wrong ones refused."""

import pytest
import torch
from small_actions import C2, C4, D3, D4, JOINTS, S3, SIGNS, permutation_matrices, polygon

from equitune.actions import AxisPermutation, Linear, Matrix, Rotate90, SignedPermutation
from equitune.groups import FiniteGroup, SymmetricGroup

D3_MATRICES = torch.tensor(polygon(3), dtype=torch.float64)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_linear_is_a_loop_over_entries(axis):
    x = torch.randn(2, 2, 2, dtype=torch.float64)
    action = Linear(D3, D3_MATRICES, axis)
    for g in D3.elements:
        expected = torch.zeros_like(x)
        for i in range(2):
            for j in range(2):
                expected.select(axis, i).add_(D3_MATRICES[g, i, j] * x.select(axis, j))
        torch.testing.assert_close(action(g, x), expected, rtol=0, atol=1e-15)


def test_matrices_of_float32_are_polished():
    rounded = Linear(D3, D3_MATRICES.float()).matrices
    assert (D3_MATRICES.float().double() - D3_MATRICES).abs().max() > 1e-9
    for g in D3.elements:
        assert (rounded[g] @ rounded[g].T - torch.eye(2)).abs().max() < 1e-14
        for h in D3.elements:
            product = rounded[D3.multiply(g, h)]
            assert (rounded[g] @ rounded[h] - product).abs().max() < 1e-14
    assert (rounded - D3_MATRICES).abs().max() < 1e-7
    whole = permutation_matrices(S3, S3.permutations)
    assert torch.equal(Linear(S3, whole).matrices, whole)


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        (D3_MATRICES.mT, r"product of the matrices of 1 and 3 .* 1\.7e\+00: they multiply as hg"),
        (D3_MATRICES[:2], r"matrices have shape \(2, 2, 2\): expected \(6, size, size\)"),
        (D3_MATRICES[:, :1], r"matrices have shape \(6, 1, 2\)"),
        (torch.zeros(6, 2, 2), r"identity differs from 1 by 1\.0e\+00"),
        (
            D3_MATRICES * torch.tensor([[1, 2], [0.5, 1]]),
            r"1 is not orthogonal, by 2\.2e\+00.*unit",
        ),
        (D3_MATRICES * torch.nan, "nan or infinite"),
        (D3_MATRICES.flip(0), "not a group action: .* must be matrices"),
    ],
    ids=["transposed", "too few", "not square", "zero", "skewed", "nan", "order"],
)
def test_what_is_no_orthogonal_representation_is_refused(matrices, message):
    with pytest.raises(ValueError, match=message):
        Linear(D3, matrices)


def test_matrices_and_vectors_of_other_kinds_are_refused():
    with pytest.raises(TypeError, match="dtype complex64: expected real numbers"):
        Linear(C2, torch.ones(2, 1, 1, dtype=torch.complex64))
    action = Linear(D3, D3_MATRICES)
    with pytest.raises(TypeError, match=r"x has dtype torch.int64: Linear multiplies.*x.float\(\)"):
        action(1, torch.ones(3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"axis -1 of \(2, 3\) is 3 long: Linear of Dihedral"):
        action(1, torch.ones(2, 3))


def test_a_group_without_generators_and_a_large_one():
    assert Linear(FiniteGroup([[0]]), [[[1.0]]])(0, torch.ones(1)) == 1
    group = SymmetricGroup(5)
    rho = permutation_matrices(group, group.permutations)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    action = Linear(group, turn @ rho @ turn.T)
    x = torch.randn(3, 5, dtype=torch.float64)
    torch.testing.assert_close(action(7, action(100, x)), action(group.multiply(7, 100), x))


def test_signs_are_those_of_a_loop():
    x = torch.randn(3, 4)
    moved = SignedPermutation(C2, JOINTS, SIGNS)(1, x)
    for v, (w, sign) in enumerate(zip(JOINTS[1], SIGNS[1], strict=True)):
        assert torch.equal(moved[:, w], sign * x[:, v])


@pytest.mark.parametrize(
    ("signs", "error", "message"),
    [
        ([[1, 1, 1, 1], [-1, 1, 1, 1]], ValueError, "entry 0 gets the sign -1 from 1 and then 1"),
        ([[1, 1, 1, -1], [1, 1, 1, 1]], ValueError, "not a group action"),
        ([[1, 1, 1, 1], [1, 1, 1, 0]], ValueError, "other numbers than 1 and -1"),
        ([[1, 1, 1], [1, 1, 1]], ValueError, r"signs have shape \(2, 3\), permutations \(2, 4\)"),
    ],
    ids=["product", "identity", "zero", "shape"],
)
def test_wrong_signs_are_refused(signs, error, message):
    with pytest.raises(error, match=message):
        SignedPermutation(C2, JOINTS, signs)


def test_signed_permutations_of_a_group_that_does_not_commute():
    """The order of permutation and sign matters: s(gh, v) = s(g, h·v) s(h, v)."""
    rho = torch.tensor(polygon(4)).round()
    places, signs = rho.abs().argmax(1), rho.sum(1).long()
    x = torch.randn(5, 2)
    action = SignedPermutation(D4, places.tolist(), signs.tolist())
    for g in D4.elements:
        assert torch.equal(action(g, x), x @ rho[g].T)
    wrong = [row if g < 4 else row[::-1] for g, row in enumerate(signs.tolist())]
    with pytest.raises(ValueError, match="not a group action"):
        SignedPermutation(D4, places.tolist(), wrong)


def test_values_without_signs_are_refused():
    with pytest.raises(TypeError, match="uint8, without signs"):
        SignedPermutation(C2, JOINTS, SIGNS)(1, torch.ones(2, 4, dtype=torch.uint8))


def test_matrix_is_rho_m_rho_transposed():
    m = torch.randn(4, 2, 2, dtype=torch.float64)
    action = Matrix(Linear(D3, D3_MATRICES))
    for g, rho in enumerate(D3_MATRICES):
        torch.testing.assert_close(action(g, m), rho @ m @ rho.T)
    v = torch.randn(4, 2, dtype=torch.float64)
    outer = v[:, :, None] * v[:, None]  # v vᵀ moves as v does
    moved = Linear(D3, D3_MATRICES)(2, v)
    torch.testing.assert_close(action(2, outer), moved[:, :, None] * moved[:, None])


def test_matrix_refuses_what_moves_no_axis():
    with pytest.raises(TypeError, match=r"Rotate90\(.*\) does not move the entries of one axis"):
        Matrix(Rotate90())
    with pytest.raises(ValueError, match="expected those of rows and of columns"):
        Matrix(AxisPermutation(S3, S3.permutations), (1, 1))
    with pytest.raises(ValueError, match=r"axis -2 of \(3,\) is missing"):
        Matrix(AxisPermutation(S3, S3.permutations))(1, torch.ones(3))
    with pytest.raises(ValueError, match=r"axis -1 of \(2, 4, 3\) is 3 long: .* moves 4 entries"):
        Matrix(AxisPermutation(C4, C4.table))(1, torch.ones(2, 4, 3))
    with pytest.raises(ValueError, match="expected a dimension 3, along which"):
        Matrix(AxisPermutation(C4, C4.table, axis=3))(1, torch.ones(2, 4, 4))
