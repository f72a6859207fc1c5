"""What a record of a figure says.

What decides a figure stands in the inputs and parameters of its rule too, so that another caption
draws nothing again (`equitune.plan.code`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

PUBLISHED = "published"  # stands among the tables for resources/published.csv


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of the function that draws it, and of its files.
        module: where in `equitune.results.figures` the function stands.
        target: the rule that asks for it: scan, image, language, benchmarks or profile.
        tables: what the function takes: names of results/tables, or `PUBLISHED`.
        shows: a few words for the report's menu.
        keys: of the configuration: what decides what is on it.
        caption: below it in the report, in reStructuredText.
        optional: further tables that the function takes, None for each that is not there.
        cells: columns of the first table; each combination of their values is a figure. The
            function takes the values by name in place of that table.
        always: False where the rules ask for it only if the configuration has something to show.
    """

    name: str
    module: str
    target: str
    tables: tuple[str, ...]
    shows: str
    keys: tuple[str, ...]
    caption: str
    optional: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    always: bool = True

    @property
    def stem(self) -> str:
        """The name of its files without suffix; {column} for each column of `cells`."""
        return "_".join([self.name, *(f"{{{column}}}" for column in self.cells)])

    @property
    def draw(self) -> "Callable[..., tuple[Drawing, pd.DataFrame]]":
        """The function that draws it: tables in, figure and the numbers it shows out."""
        module = import_module(f"equitune.results.figures.{self.module}")
        function: Callable[..., Any] = getattr(module, self.name)
        return function


def under(section: str, *keys: str) -> tuple[str, ...]:
    """Return the full names of keys of a section."""
    return tuple(f"{section}.{key}" for key in keys)
