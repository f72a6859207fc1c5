"""What a claim is, an entry of resources/claims.yaml, and its rule and findings in words.

The words come from the same fields as the tests, so that they cannot say something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from equitune.config import IDENTITY
from equitune.config.base import STRICT
from equitune.methods import METHODS

if TYPE_CHECKING:
    import pandas as pd

# what a reader calls the columns that claims are about
MEASURES = {
    "test_accuracy": "exact match on the test set",
    "rotated_accuracy": "accuracy on moved images",
    "upright_accuracy": "accuracy on upright images",
    "regard_gap": "gap in mean regard",
    "regard_gap_high": "upper end of the gap's interval",
    "symmetric_gap": "gap in mean regard by the symmetric scorer",
    "counterfactual_tv": "counterfactual total variation",
    "perplexity": "perplexity",
}
SIZES = {"train_examples": "number of training examples", "n": "number of texts"}

Rows = dict[str, str | list[str]]  # column: its value, or several


@dataclass(config=STRICT, frozen=True)
class Condition:
    """What has to hold of the runs of a method, or of how they compare with another's."""

    method: str
    minus: str | None = None
    over: str | None = None
    size: bool = False
    measure: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    exceeds: float | None = None
    reaches: float | None = None


@dataclass(config=STRICT, frozen=True)
class AtLeast:
    """A number that a setting must not fall below."""

    at_least: float


@dataclass(config=STRICT, frozen=True)
class Claim:
    """A claim, the runs it is about, and the conditions that it is tested by."""

    claim: str
    source: str
    table: Literal["scan", "image", "fairness", "image_gains"]
    rows: Rows
    measure: str
    tests: list[Condition] = Field(min_length=1)
    each: dict[str, dict[str, str]] = Field(default_factory=dict)
    group: str = IDENTITY
    data: str | None = None
    published_as: dict[str, str] = Field(default_factory=dict)
    seeds: int = 1
    at_least: dict[str, float] = Field(default_factory=dict)
    needs: dict[str, AtLeast | str | None] = Field(default_factory=dict)


def rule(claim: Claim) -> str:
    """Return the rule that a claim is tested by."""
    parts = "; ".join(part for test in claim.tests for part in _conditions(claim, test))
    least = f"; {claim.seeds} seeds at least" if claim.seeds > 1 else ""
    return f"{parts}{least}"


def finding(
    claim: Claim, test: Condition, values: pd.Series[float], bounds: tuple[float, float]
) -> str:
    """Return what was found of a condition: the interval it is about, or all values' range."""
    if test.exceeds is not None or test.reaches is not None:
        return bounded(claim, test, bounds)
    low, high = (amount(claim, test, bound) for bound in (values.min(), values.max()))
    return f"{_quantity(claim, test)}: {low if low == high else f'{low} to {high}'}"


def bounded(claim: Claim, test: Condition, bounds: tuple[float, float]) -> str:
    """Return an interval, and whether all of it says the opposite of what should be exceeded."""
    low, high = (amount(claim, test, bound) for bound in bounds)
    opposite = test.exceeds is not None and bounds[1] < test.exceeds
    return f"95 % interval {low} to {high}{f', all below {test.exceeds:g}' if opposite else ''}"


def lacking(claim: Claim, tests: Sequence[Condition]) -> str:
    """Return what was not run of a claim."""
    methods = dict.fromkeys(
        called(name)
        for test in tests
        for name in (test.method, test.minus, test.over)
        if name is not None
    )
    rows = (name if isinstance(name, str) else ", ".join(name) for name in claim.rows.values())
    return f"no complete runs of {' and '.join(methods)} on {', '.join(rows)}"


def called(method: str) -> str:
    """Return what figures call a method; one that is not known keeps its name."""
    return METHODS[method].label if method in METHODS else method


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
        yield f"in every seed the {quantity} is {amount(claim, test, test.at_least)} or more"
    if test.at_most is not None:
        yield f"in every seed the {quantity} is {amount(claim, test, test.at_most)} or less"
    if test.exceeds is not None:
        paired = ", paired by seed," if test.minus or test.over else ""
        if claim.table == "image_gains":
            paired = ", paired by image and seed,"
        yield f"the 95 % interval of the {quantity}{paired} is all above {test.exceeds:g}"
    if test.reaches is not None:
        yield (
            f"the 95 % interval of the {quantity} reaches up to the published value, "
            f"less {test.reaches:g} for its reading"
        )


def _quantity(claim: Claim, test: Condition) -> str:
    """Return the name of what a condition is about."""
    size = "size of the " if test.size else ""
    measure = test.measure or claim.measure
    words = f"{size}{MEASURES.get(measure, measure)} of the {called(test.method)} model"
    if test.minus is not None:
        return f"{words}, less that of the {called(test.minus)} one"
    if test.over is not None:
        return f"{words}, over that of the {called(test.over)} one"
    return words
