"""Permutations of the nodes of graphs, and of the elements of sets."""

from __future__ import annotations

from equitune.actions.matrix import Matrix
from equitune.actions.permutations import AxisPermutation, Rows
from equitune.groups import FiniteGroup


class Permute(AxisPermutation):
    """Permutes nodes of a graph, or elements of a set: features (batch, nodes, channels).

    Features and adjacency move together, as two inputs of one model:
    ``EquiTuned(net, (nodes, nodes.on_adjacency()), nodes)``.

    Args:
        group: the group that acts.
        permutations: (order, nodes); ``permutations[g][v]`` is the node to which g sends v. For
            `SymmetricGroup`, its own ``group.permutations``.
        axis: of the nodes.

    Raises:
        TypeError: the permutations are not integers.
        ValueError: a row is not a permutation, or the rows do not multiply as the group does.
    """

    def __init__(self, group: FiniteGroup, permutations: Rows, axis: int = -2) -> None:
        """Check the permutations; see the class."""
        super().__init__(group, permutations, axis)

    def on_adjacency(self, axes: tuple[int, int] = (-2, -1)) -> Matrix:
        """Return the action on adjacency and distance matrices, (g·a)[g·v, g·w] = a[v, w].

        Args:
            axes: of the two nodes; (1, 2) for edge features (batch, nodes, nodes, channels).
        """
        return Matrix(AxisPermutation(self.group, self.permutations, self.axis), axes)
