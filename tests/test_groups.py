"""Group axioms, products and the errors that name the elements at fault."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equitune import groups
from equitune.groups import (
    CyclicGroup,
    DihedralGroup,
    FiniteGroup,
    ProductGroup,
    SymmetricGroup,
)

GROUPS = [
    CyclicGroup(1),
    CyclicGroup(3),
    CyclicGroup(4),
    DihedralGroup(1),
    DihedralGroup(3),
    DihedralGroup(4),
    SymmetricGroup(3),
    SymmetricGroup(4),
    ProductGroup(CyclicGroup(2), SymmetricGroup(3)),
    ProductGroup(DihedralGroup(3), CyclicGroup(4)),
]


@st.composite
def relabelled(draw, largest=24):
    """A known group whose elements were renumbered at random, with the renumbering."""
    factors = st.sampled_from([g for g in GROUPS if g.order <= 8])
    original = draw(factors)
    other = draw(factors)
    if original.order * other.order <= largest:
        original = ProductGroup(original, other)
    label = draw(st.permutations(range(original.order)))
    table = [[0] * original.order for _ in original.elements]
    for g, h in itertools.product(original.elements, repeat=2):
        table[label[g]][label[h]] = label[original.multiply(g, h)]
    return original, label, FiniteGroup(table)


def check_axioms(group):
    e = group.identity
    for g in group.elements:
        assert group.multiply(e, g) == g == group.multiply(g, e)
        assert group.multiply(g, group.inverse(g)) == e == group.multiply(group.inverse(g), g)
    for a, b, c in itertools.product(group.elements, repeat=3):
        left = group.multiply(group.multiply(a, b), c)
        assert left == group.multiply(a, group.multiply(b, c))


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_axioms(group):
    check_axioms(group)


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_generators_reach_every_element(group):
    reached, frontier = {group.identity}, {group.identity}
    while frontier:
        frontier = {group.multiply(g, x) for g in group.generators for x in frontier} - reached
        reached |= frontier
    assert reached == set(group.elements)
    assert len(group.generators) <= 4


@pytest.mark.parametrize(
    ("group", "order", "abelian"),
    [
        (CyclicGroup(6), 6, True),
        (DihedralGroup(1), 2, True),
        (DihedralGroup(2), 4, True),
        (DihedralGroup(4), 8, False),
        (SymmetricGroup(3), 6, False),
        (SymmetricGroup(5), 120, False),
        (ProductGroup(CyclicGroup(3), CyclicGroup(2)), 6, True),
        (ProductGroup(CyclicGroup(2), SymmetricGroup(3)), 12, False),
    ],
    ids=repr,
)
def test_order_and_commutativity(group, order, abelian):
    pairs = itertools.product(group.elements, repeat=2)
    assert group.order == len(group) == len(group.elements) == order
    assert all(group.multiply(g, h) == group.multiply(h, g) for g, h in pairs) is abelian


def test_dihedral_relation():
    group = DihedralGroup(5)
    r, s = 1, 5
    assert group.multiply(group.multiply(s, r), s) == group.inverse(r) == 4
    assert group.multiply(r, s) == 6  # element n + k is rᵏs
    assert group.names[:2] == ("e", "r")
    assert group.names[5:7] == ("s", "rs")


def test_symmetric_group_composes_permutations():
    group = SymmetricGroup(3)
    for g, h in itertools.product(group.elements, repeat=2):
        product = group.permutations[group.multiply(g, h)]
        for point in range(3):
            assert product[point] == group.permutations[g][group.permutations[h][point]]


def test_product_multiplies_factor_by_factor():
    a, b = SymmetricGroup(3), CyclicGroup(4)
    group = ProductGroup(a, b)
    for g, h in itertools.product(group.elements, repeat=2):
        (g1, g2), (h1, h2) = group.factors(g), group.factors(h)
        expected = (a.multiply(g1, h1), b.multiply(g2, h2))
        assert group.factors(group.multiply(g, h)) == expected


@given(relabelled())
def test_a_renumbered_group_is_accepted(case):
    original, label, group = case
    assert group.identity == label[original.identity]
    for g in original.elements:
        assert group.inverse(label[g]) == label[original.inverse(g)]


@given(relabelled(), st.data())
def test_one_wrong_entry_is_found(case, data):
    _, _, group = case
    if group.order == 1:
        return
    g = data.draw(st.integers(0, group.order - 1))
    h = data.draw(st.integers(0, group.order - 1))
    other = [x for x in group.elements if x != group.multiply(g, h)]
    table = [list(row) for row in group.table]
    table[g][h] = data.draw(st.sampled_from(other))
    if group.order == 2 and table in ([[1, 0], [0, 1]], [[0, 1], [1, 0]]):
        return
    with pytest.raises(ValueError, match=r"identity|inverse|associative"):
        FiniteGroup(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "empty"),
        ([[0, 1], [1]], "row 1 of the table has 1 entries: expected 2"),
        ([[0, 1], [1, 2]], r"not closed: 1·1 = 2 is not one of 0 … 1"),
        ([[0, 1], [1, -1]], r"not closed: 1·1 = -1"),
        ([[1, 1], [0, 0]], r"no identity: no e has e·x = x .*\(0·0 = 1\)"),
        ([[0, 1], [0, 1]], r"no identity: 0·1 = 1, but 1·0 = 0"),
        ([[0, 1], [1, 1]], r"1 has no inverse: no h has 1·h = h·1 = 0"),
        (
            [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]],
            r"not associative: \(1·1\)·2 = 2, but 1·\(1·2\) = 4",
        ),
    ],
)
def test_a_broken_axiom_names_its_elements(table, message):
    with pytest.raises(ValueError, match=message):
        FiniteGroup(table)


def test_a_table_of_floats_is_refused():
    with pytest.raises(TypeError, match=r"table\[0\]\[1\] is 1.0: expected an integer"):
        FiniteGroup([[0, 1.0], [1, 0]])


def test_names_must_be_different():
    with pytest.raises(ValueError, match="2 different strings"):
        FiniteGroup([[0, 1], [1, 0]], ["a", "a"])


@pytest.mark.parametrize("element", [-1, 4, 100])
def test_an_element_out_of_range_is_named(element):
    group = CyclicGroup(4)
    message = f"{element} is not an element of CyclicGroup\\(4\\): pass one of 0 … 3"
    for call in (group.inverse, lambda g: group.multiply(g, 0), lambda g: group.multiply(0, g)):
        with pytest.raises(ValueError, match=message):
            call(element)


def test_a_fractional_element_is_refused():
    with pytest.raises(TypeError, match=r"1\.5 is not an element"):
        CyclicGroup(4).inverse(1.5)


@pytest.mark.parametrize("kind", [CyclicGroup, DihedralGroup, SymmetricGroup])
def test_sizes_are_checked(kind):
    with pytest.raises(ValueError, match="at least 1"):
        kind(0)
    with pytest.raises(TypeError, match="integer"):
        kind(2.0)


def test_symmetric_group_of_seven_points_is_refused():
    with pytest.raises(ValueError, match="5040 elements"):
        SymmetricGroup(7)


@pytest.mark.parametrize("group", [*GROUPS, FiniteGroup([[0, 1], [1, 0]], ["e", "s"])], ids=repr)
def test_config_round_trip(group):
    again = groups.from_config(json.loads(json.dumps(group.config())))
    assert type(again) is type(group)
    assert again == group
    assert again.names == group.names


def test_unknown_config_names_the_known():
    with pytest.raises(ValueError, match=r"unknown group 'Octahedral': expected FiniteGroup"):
        groups.from_config({"group": "Octahedral"})


def test_equality_is_by_table():
    assert CyclicGroup(2) == DihedralGroup(1) == FiniteGroup([[0, 1], [1, 0]])
    assert hash(CyclicGroup(2)) == hash(DihedralGroup(1))
    assert CyclicGroup(4) != ProductGroup(CyclicGroup(2), CyclicGroup(2))
    assert CyclicGroup(2) != "CyclicGroup(2)"
    assert repr(ProductGroup(CyclicGroup(2), DihedralGroup(4))) == (
        "ProductGroup(CyclicGroup(2), DihedralGroup(4))"
    )
