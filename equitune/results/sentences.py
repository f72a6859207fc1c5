"""The rules of claims, and what was found, in words; decides nothing.

The words come from the same fields as the tests, so that they cannot say something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from equitune.results.claim import Claim, Condition


def rule(claim: Claim) -> str:
    """Return the rule that a claim is tested by."""
    parts = "; ".join(part for test in claim.tests for part in _conditions(claim, test))
    least = f"; n ≥ {claim.seeds}" if claim.seeds > 1 else ""
    return f"{parts}{least}"


def finding(
    claim: Claim, test: Condition, values: pd.Series[float], bounds: tuple[float, float]
) -> str:
    """Return what was found of a condition: the interval it is about, or all values' range."""
    if test.exceeds is not None or test.reaches is not None:
        return interval(claim, test, bounds)
    low, high = (amount(claim, test, bound) for bound in (values.min(), values.max()))
    return f"{_quantity(claim, test)}: {low if low == high else f'{low} to {high}'}"


def interval(claim: Claim, test: Condition, bounds: tuple[float, float]) -> str:
    """Return an interval, and whether all of it says the opposite of what should be exceeded."""
    low, high = (amount(claim, test, bound) for bound in bounds)
    opposite = test.exceeds is not None and bounds[1] < test.exceeds
    return f"95 % interval {low} to {high}{f', all below {test.exceeds:g}' if opposite else ''}"


def lacking(claim: Claim, tests: Sequence[Condition]) -> str:
    """Return what was not run of a claim."""
    methods = dict.fromkeys(
        name for test in tests for name in (test.method, test.minus, test.over) if name is not None
    )
    rows = (name if isinstance(name, str) else ", ".join(name) for name in claim.rows.values())
    return f"no complete runs of {' and '.join(methods)} on {', '.join(rows)}"


def amount(claim: Claim, test: Condition, value: float) -> str:
    """Return a value of a condition with its unit; differences have a sign."""
    if test.over is not None:
        return f"{value:.4g}"
    sign = "+" if test.minus is not None else ""
    if (test.measure or claim.measure).endswith("accuracy"):
        return f"{round(100 * value, 1):{sign}g} {'points' if sign else '%'}"
    return f"{value:{sign}.3g}"


def _conditions(claim: Claim, test: Condition) -> Iterator[str]:
    """Yield each thing that a condition asks for."""
    quantity = _quantity(claim, test)
    if test.at_least is not None:
        yield f"in every seed {quantity} ≥ {amount(claim, test, test.at_least)}"
    if test.at_most is not None:
        yield f"in every seed {quantity} ≤ {amount(claim, test, test.at_most)}"
    if test.exceeds is not None:
        paired = ", paired by seed," if test.minus or test.over else ""
        if claim.table == "image_gains":
            paired = ", paired by image and seed,"
        yield f"95 % interval of the mean {quantity}{paired} above {test.exceeds:g}"
    if test.reaches is not None:
        yield (
            f"95 % interval of the mean {quantity} up to the published value or beyond, "
            f"less {test.reaches:g} for its reading"
        )


def _quantity(claim: Claim, test: Condition) -> str:
    """Return the name of what a condition is about."""
    size = "size of " if test.size else ""
    other = "".join(
        f" {word} {name}" for word, name in (("minus", test.minus), ("over", test.over)) if name
    )
    return f"{size}{test.measure or claim.measure} of {test.method}{other}"
