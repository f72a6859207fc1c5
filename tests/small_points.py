"""A group on points: its own elements, and two that stay."""

from equitune.groups import SymmetricGroup

S3 = SymmetricGroup(3)


def on_points(group):
    """The group on its own elements, and two more points that stay: a faithful action."""
    rows = [[group.multiply(g, h) for h in group.elements] for g in group.elements]
    return [[*row, group.order, group.order + 1] for row in rows]
