"""Finite groups from their multiplication table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations as all_permutations
from math import factorial
from typing import Any, SupportsIndex

Table = tuple[tuple[int, ...], ...]

LARGEST_SYMMETRIC_GROUP = 6  # S7 has 5040 elements: a table of 25 million entries


class FiniteGroup:
    """A finite group whose elements are the integers 0 … order - 1.

    The table is checked against the group axioms, so an instance is always a group.

    Args:
        table: the multiplication (Cayley) table, (order, order); ``table[g][h]`` is the product gh,
            in which h acts first.
        names: a name for each element, shown in reports; by default its number.

    Raises:
        TypeError: an entry is not an integer.
        ValueError: the table is not square or breaks an axiom; the elements concerned are named.
    """

    def __init__(self, table: Sequence[Sequence[int]], names: Sequence[str] | None = None) -> None:
        """Check the table; see the class."""
        self.table: Table = _closed_table(table)
        self.order = len(self.table)
        self.names = tuple(str(g) for g in range(self.order)) if names is None else tuple(names)
        if len(self.names) != self.order or len(set(self.names)) != self.order:
            raise ValueError(f"names {self.names} must be {self.order} different strings")
        self.identity = _identity(self.table)
        self.inverses = _inverses(self.table, self.identity)
        self.generators = _generators_if_associative(self.table, self.identity)

    @property
    def elements(self) -> range:
        """The elements, 0 … order - 1."""
        return range(self.order)

    def multiply(self, g: SupportsIndex, h: SupportsIndex) -> int:
        """Return the product gh: first h acts, then g."""
        return self.table[self.check(g)][self.check(h)]

    def inverse(self, g: SupportsIndex) -> int:
        """Return g⁻¹, the element with g⁻¹g = gg⁻¹ = identity."""
        return self.inverses[self.check(g)]

    def check(self, g: SupportsIndex) -> int:
        """Return g as an int if it is an element.

        Raises:
            TypeError: g is not an integer.
            ValueError: g is not one of 0 … order - 1.
        """
        if not isinstance(g, int):
            if not hasattr(g, "__index__"):
                raise TypeError(f"{g!r} is not an element of {self!r}: pass an integer")
            g = g.__index__()
        if not 0 <= g < self.order:
            raise ValueError(f"{g} is not an element of {self!r}: pass one of 0 … {self.order - 1}")
        return g

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description, from which `from_config` builds an equal group."""
        return {
            "group": "FiniteGroup",
            "table": [list(row) for row in self.table],
            "names": list(self.names),
        }

    def __eq__(self, other: object) -> bool:
        """Groups are equal when their tables are."""
        return isinstance(other, FiniteGroup) and self.table == other.table

    def __hash__(self) -> int:
        """Hash by table, as equality asks."""
        return hash(self.table)

    def __len__(self) -> int:
        """Return the order |G|."""
        return self.order

    def __repr__(self) -> str:
        """Return a short name; the table is left out."""
        return f"FiniteGroup(order {self.order})"


class CyclicGroup(FiniteGroup):
    """The cyclic group of order n: element k is the k-th power of one generator r.

    Args:
        n: the order, at least 1.
    """

    def __init__(self, n: int) -> None:
        """Build the table (j, k) ↦ j + k mod n."""
        self.n = _positive(n, "CyclicGroup")
        table = [[(j + k) % n for k in range(n)] for j in range(n)]
        super().__init__(table, [_power("r", k) or "e" for k in range(n)])

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `FiniteGroup.config`."""
        return {"group": "CyclicGroup", "n": self.n}

    def __repr__(self) -> str:
        """Return the call that builds it."""
        return f"CyclicGroup({self.n})"


class DihedralGroup(FiniteGroup):
    """The dihedral group of order 2n: the rotations and reflections of a regular n-gon.

    Element k < n is the rotation rᵏ, element n + k is rᵏs: the reflection s first, then rᵏ. From
    srs = r⁻¹ follows (rʲsᵃ)(rᵏsᵇ) = rʲ⁺ᵏ sᵃ⁺ᵇ for a = 0 and rʲ⁻ᵏ sᵃ⁺ᵇ for a = 1.

    Args:
        n: the number of rotations, at least 1.
    """

    def __init__(self, n: int) -> None:
        """Build the table from srs = r⁻¹."""
        self.n = _positive(n, "DihedralGroup")
        elements = [(k, s) for s in (0, 1) for k in range(n)]
        table = [
            [((j - k if a else j + k) % n) + n * ((a + b) % 2) for k, b in elements]
            for j, a in elements
        ]
        super().__init__(table, [(_power("r", k) + "s" * s) or "e" for k, s in elements])

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `FiniteGroup.config`."""
        return {"group": "DihedralGroup", "n": self.n}

    def __repr__(self) -> str:
        """Return the call that builds it."""
        return f"DihedralGroup({self.n})"


class SymmetricGroup(FiniteGroup):
    """The symmetric group of all n! permutations of n points, in lexicographic order.

    Args:
        n: the number of points, 1 … 6.

    Attributes:
        permutations: (n!, n); ``permutations[g][i]`` is the point to which g sends i.
    """

    def __init__(self, n: int) -> None:
        """Build the table by composing permutations: (gh)(i) = g(h(i))."""
        self.n = _positive(n, "SymmetricGroup")
        if n > LARGEST_SYMMETRIC_GROUP:
            raise ValueError(
                f"SymmetricGroup({n}) has {factorial(n)} elements: take n up to "
                f"{LARGEST_SYMMETRIC_GROUP}, or a subgroup as FiniteGroup(table)"
            )
        self.permutations: Table = tuple(all_permutations(range(n)))
        number = {p: g for g, p in enumerate(self.permutations)}
        table = [
            [number[tuple(map(g.__getitem__, h))] for h in self.permutations]
            for g in self.permutations
        ]
        super().__init__(table, ["".join(map(str, p)) for p in self.permutations])

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `FiniteGroup.config`."""
        return {"group": "SymmetricGroup", "n": self.n}

    def __repr__(self) -> str:
        """Return the call that builds it."""
        return f"SymmetricGroup({self.n})"


class ProductGroup(FiniteGroup):
    """The direct product of two groups: (g, h)(k, m) = (gk, hm).

    Args:
        a: the first factor.
        b: the second factor; the pair (g, h) is the element ``g * b.order + h``.
    """

    def __init__(self, a: FiniteGroup, b: FiniteGroup) -> None:
        """Build the table factor by factor."""
        self.a, self.b = a, b
        pairs = [(g, h) for g in a.elements for h in b.elements]
        table = [[a.table[g][k] * b.order + b.table[h][m] for k, m in pairs] for g, h in pairs]
        super().__init__(table, [f"({a.names[g]}, {b.names[h]})" for g, h in pairs])

    def factors(self, g: SupportsIndex) -> tuple[int, int]:
        """Return the pair (element of a, element of b) whose number is g."""
        return divmod(self.check(g), self.b.order)

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `FiniteGroup.config`."""
        return {"group": "ProductGroup", "a": self.a.config(), "b": self.b.config()}

    def __repr__(self) -> str:
        """Return the call that builds it."""
        return f"ProductGroup({self.a!r}, {self.b!r})"


def from_config(config: dict[str, Any]) -> FiniteGroup:
    """Build the group that `FiniteGroup.config` described.

    Raises:
        ValueError: the description names no group of this module.
    """
    arguments = {key: value for key, value in config.items() if key != "group"}
    match config.get("group"):
        case "FiniteGroup":
            return FiniteGroup(**arguments)
        case "CyclicGroup":
            return CyclicGroup(**arguments)
        case "DihedralGroup":
            return DihedralGroup(**arguments)
        case "SymmetricGroup":
            return SymmetricGroup(**arguments)
        case "ProductGroup":
            return ProductGroup(from_config(arguments["a"]), from_config(arguments["b"]))
        case kind:
            raise ValueError(
                f"unknown group {kind!r}: expected FiniteGroup, CyclicGroup, DihedralGroup, "
                "SymmetricGroup or ProductGroup"
            )


def _positive(n: int, name: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"{name}(n) needs an integer n, got {n!r}")
    if n < 1:
        raise ValueError(f"{name}({n}) does not exist: n must be at least 1")
    return n


def _power(letter: str, k: int) -> str:
    return "" if k == 0 else letter if k == 1 else f"{letter}{k}"


def _closed_table(table: Sequence[Sequence[int]]) -> Table:
    """Return the table as tuples of int, after checking shape and closure."""
    rows = tuple(tuple(row) for row in table)
    n = len(rows)
    if n == 0:
        raise ValueError("the multiplication table is empty: a group has at least its identity")
    for g, row in enumerate(rows):
        if len(row) != n:
            raise ValueError(f"row {g} of the table has {len(row)} entries: expected {n}, as rows")
        for h, product in enumerate(row):
            try:
                inside = 0 <= product.__index__() < n
            except AttributeError:
                raise TypeError(f"table[{g}][{h}] is {product!r}: expected an integer") from None
            if not inside:
                raise ValueError(f"not closed: {g}·{h} = {product} is not one of 0 … {n - 1}")
    return tuple(tuple(product.__index__() for product in row) for row in rows)


def _identity(table: Table) -> int:
    everything = tuple(range(len(table)))
    left = [e for e in everything if table[e] == everything]
    if not left:
        x = next(x for x in everything if table[0][x] != x)
        raise ValueError(f"no identity: no e has e·x = x for every x (0·{x} = {table[0][x]})")
    e = left[0]
    for x in everything:
        if table[x][e] != x:
            raise ValueError(f"no identity: {e}·{x} = {x}, but {x}·{e} = {table[x][e]}")
    return e


def _inverses(table: Table, identity: int) -> tuple[int, ...]:
    inverses = []
    for g, row in enumerate(table):
        found = [h for h, product in enumerate(row) if product == identity == table[h][g]]
        if not found:
            raise ValueError(f"{g} has no inverse: no h has {g}·h = h·{g} = {identity}")
        inverses.append(found[0])
    return tuple(inverses)


def _generators_if_associative(table: Table, identity: int) -> tuple[int, ...]:
    """Return elements that generate the group, or raise if the product is not associative.

    Light's test: the a with (xa)y = x(ay) for all x, y are closed under the product, so it is
    enough to try generators (Clifford and Preston, The Algebraic Theory of Semigroups I, §1.2).
    """
    generators: list[int] = []
    reached = {identity}
    for a in range(len(table)):
        if a in reached:
            continue
        for x, row in enumerate(table):
            left, right = table[row[a]], tuple(map(row.__getitem__, table[a]))
            if left != right:
                y = next(y for y in range(len(table)) if left[y] != right[y])
                raise ValueError(
                    f"not associative: ({x}·{a})·{y} = {left[y]}, but {x}·({a}·{y}) = {right[y]}"
                )
        generators.append(a)
        frontier = list(reached)
        while frontier:
            products = {table[x][b] for x in frontier for b in generators}
            frontier = list(products - reached)
            reached |= products
    return tuple(generators)
