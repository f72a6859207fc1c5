"""The figures as data: what draws each, from which tables, and what the report says of it.

The rules that draw figures, the targets that ask for them, the commands and the table of
docs/figures.md are made of `FIGURES`. A new figure is a record in the module of its experiment, and
its function. Each start of Snakemake reads this, so nothing here imports matplotlib.
"""

import re

from equitune.results.catalogue import cost, image, language, scan
from equitune.results.catalogue.record import PUBLISHED, Figure

__all__ = ["CATEGORIES", "FIGURES", "PUBLISHED", "Figure", "asked_for", "page"]

CATEGORIES = {
    "scan": "Compositional generalization",
    "image": "Image classification",
    "language": "Fairness of language models",
    "benchmarks": "Cost",
    "profile": "Cost",
}
FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (*scan.FIGURES, *image.FIGURES, *language.FIGURES, *cost.FIGURES)
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


def _code(*names: str) -> str:
    """Return names as Markdown shows code."""
    return ", ".join(f"`{name}`" for name in names)
