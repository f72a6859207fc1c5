"""The figures as data: what draws each, from which tables, and where the report shows it.

The rules that draw figures, the targets that ask for them, the commands and the table of
docs/figures.md are made of `FIGURES`. A new figure is a record here, its function, and its caption
in workflow/report.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equitune.io.names import nearest, show
from equitune.methods import METHODS, with_foreign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

logger = logging.getLogger(__name__)

CATEGORIES = {
    "scan": "Compositional generalization",
    "image": "Image classification",
    "language": "Fairness of language models",
    "benchmarks": "Cost",
    "profile": "Cost",
}
PUBLISHED = "published"  # stands among the tables for resources/published.csv


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of the function that draws it, of its files, and of its caption in workflow/report.
        module: where in `equitune.results.figures` the function stands.
        target: the rule that asks for it: scan, image, language, benchmarks or profile.
        tables: what the function takes: names of results/tables, or `PUBLISHED`.
        shows: a few words for the report's menu.
        keys: of the configuration: what decides what is on it.
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


# by name: what it shows, and the keys that decide it
COST: dict[str, tuple[str, tuple[str, ...]]] = {
    "loop": ("speed-up over a loop", under("scan", "architectures", "tuning", "tasks", "groups")),
    "floor": ("distance to the floor", under("scan", "architectures", "tuning", "groups")),
    "order": ("time and memory against |G|", ()),
    "peers": ("other libraries", ()),
    "state": (
        "writing the state",
        (
            *under("scan", "architectures", "tuning"),
            *under("image", "architectures", "tuning"),
            *under("language", "network", "pretraining"),
        ),
    ),
}
FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            name="scan_accuracy",
            module="scan",
            target="scan",
            tables=("scan", PUBLISHED),
            shows="test accuracy",
            keys=under("scan", "tasks", "architectures", "methods", "groups", "seeds"),
        ),
        Figure(
            name="image_accuracy",
            module="image",
            target="image",
            tables=("image", PUBLISHED),
            shows="upright and rotated accuracy",
            keys=under("image", "datasets", "architectures", "methods", "groups", "seeds"),
        ),
        Figure(
            name="image_rotation",
            module="image",
            target="image",
            tables=("image_elements",),
            shows="accuracy against rotation",
            keys=under("image", "groups", "methods"),
        ),
        Figure(
            name="image_orbit",
            module="orbit",
            target="image",
            tables=("image", "image_examples"),
            shows="predictions over orbits, {dataset}, {architecture}",
            keys=under("image", "datasets", "architectures", "groups"),
            cells=("dataset", "architecture"),
            always=False,
        ),
        Figure(
            name="image_cost",
            module="image",
            target="image",
            tables=("image",),
            shows="training time",
            keys=under("image", "methods", "tuning"),
        ),
        Figure(
            name="image_gains",
            module="gains",
            target="image",
            tables=("image_gains",),
            shows="gain over fine-tuning, with intervals",
            keys=under("image", "datasets", "architectures", "methods", "groups", "seeds"),
        ),
        Figure(
            name="image_forecast",
            module="gains",
            target="image",
            tables=("image_forecast",),
            shows="gain foretold without labels, and measured",
            keys=under("image", "datasets", "architectures", "groups", "seeds", "weights"),
        ),
        Figure(
            name="language_regard",
            module="language",
            target="language",
            tables=("regard", PUBLISHED),
            optional=("truth",),
            shows="regard by demographic",
            keys=under("language", "models", "axes", "tasks", "methods", "scorer"),
        ),
        Figure(
            name="language_gaps",
            module="gaps",
            target="language",
            tables=("fairness",),
            optional=("truth",),
            shows="gaps with intervals",
            keys=under("language", "axes", "tasks", "methods", "sampling", "seeds"),
        ),
        Figure(
            name="language_fairness",
            module="language",
            target="language",
            tables=("fairness",),
            shows="distance from fairness, perplexity",
            keys=under("language", "methods", "lexicons", "sources"),
        ),
        Figure(
            name="language_pronouns",
            module="pronouns",
            target="language",
            tables=("language_pronouns",),
            shows="what fairness costs in pronouns",
            keys=under("language", "models", "axes", "tasks", "methods", "lexicons", "seeds"),
            always=False,
        ),
        Figure(
            name="language_tuning",
            module="tuning",
            target="language",
            tables=("language_tuning",),
            shows="tuning inside the average",
            keys=under("language", "tuning", "seeds"),
            always=False,
        ),
        *(
            Figure(f"cost_{name}", "cost", "benchmarks", ("cost",), shows, keys)
            for name, (shows, keys) in COST.items()
        ),
        Figure(
            name="cost_products",
            module="products",
            target="benchmarks",
            tables=("cost",),
            shows="products of groups",
            keys=(),
        ),
        Figure(
            name="job_times",
            module="jobs",
            target="profile",
            tables=("jobs",),
            shows="where the time of a run goes",
            keys=(),
        ),
    )
}


def asked_for(target: str) -> list[str]:
    """Return the files, of one format, of the figures that a target always asks for."""
    return [
        f"results/figures/{figure.stem}.svg"
        for figure in FIGURES.values()
        if figure.target == target and figure.always
    ]


def page() -> str:
    """Return every figure as a row of the Markdown table in docs/figures.md."""
    lines = ["| figure | rule | tables | decided by |", "| --- | --- | --- | --- |"]
    for figure in FIGURES.values():
        tables = [f"{name}.csv" for name in (*figure.tables, *figure.optional) if name != PUBLISHED]
        cells = (
            _code(re.sub("{(.*?)}", r"<\1>", figure.stem)),
            _code(f"plot_{figure.name}"),
            _code(*tables),
            _code(*figure.keys) or "no key",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(
    figure: Figure, files: Mapping[str, Path], folder: Path, only: Mapping[str, str] | None = None
) -> None:
    """Draw a figure from files, and write it as SVG and PDF with the CSV of its numbers.

    Args:
        figure: which.
        files: its tables by name.
        folder: where to write.
        only: values of columns of its `cells`; the figures of all other cells are left out.

    Raises:
        ValueError: a table is missing or cannot be drawn, no cell has these values, or its cells
            have no such column.
    """
    from equitune.results.tables import COLUMNS, read

    for column in only or {}:
        if column not in figure.cells:
            raise ValueError(f"{figure.name} shows every {column}: leave out --{column}")
    if missing := [f"{name}.csv" for name in figure.tables if name not in files]:
        raise ValueError(f"{figure.name} is drawn from {', '.join(missing)} too: name the file")
    known = {
        name: read(files[name], COLUMNS[name])
        for name in (*figure.tables, *figure.optional)
        if name in files
    }
    named = {
        name: {*table["method"].dropna()} for name, table in known.items() if "method" in table
    }
    theirs = named.pop(PUBLISHED, set())  # shown beside; of these nobody need be told
    own = set[str]().union(*named.values())
    with with_foreign(own | theirs) as foreign:
        for name in sorted(own & {*foreign}):
            hint = nearest(name, METHODS.keys() - set(foreign))
            like = hint if hint.startswith("; did") else ""
            logger.warning("%s: method %s is drawn as it is%s", figure.name, show(name), like)
        _draw(figure, known, files, folder, only or {})


def _draw(
    figure: Figure,
    known: Mapping[str, "pd.DataFrame"],
    files: Mapping[str, Path],
    folder: Path,
    only: Mapping[str, str],
) -> None:
    """Draw a figure from tables that were read; the arguments are those of `draw`."""
    from equitune.results import style

    tables = [known.get(name) for name in (*figure.tables, *figure.optional)]
    if not figure.cells:
        drawn, shown = figure.draw(*tables)
        style.save(drawn, folder / figure.name, shown)
        return
    cells = known[figure.tables[0]][[*figure.cells]].drop_duplicates()
    for column, wanted in only.items():
        cells = cells[cells[column] == wanted]
    if cells.empty and only:
        raise ValueError(f"{files[figure.tables[0]]} has no runs of {' and '.join(only.values())}")
    for cell in cells.to_dict("records"):
        values = {str(column): value for column, value in cell.items()}
        name = figure.stem.format(**values)
        if not re.fullmatch(r"[\w.:-]{1,200}", name):  # a table may come from anybody
            raise ValueError(
                f"{files[figure.tables[0]]}: {show(name)} is not a file's name: rename "
                f"{' or '.join(figure.cells)}"
            )
        drawn, shown = figure.draw(*tables[1:], **values)
        style.save(drawn, folder / name, shown)


def _code(*names: str) -> str:
    """Return names as Markdown shows code."""
    return ", ".join(f"`{name}`" for name in names)
