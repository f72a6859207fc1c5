"""What a claim is: the entries of resources/claims.yaml; tests none."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from equitune.config import IDENTITY
from equitune.config.base import STRICT

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
