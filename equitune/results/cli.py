"""Commands that make tables and figures from tables; they know no model and import no torch."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Tables and figures.")
table = typer.Typer(help="Put the runs' rows together.")
figure = typer.Typer(help="Draw a figure from tables.")
app.add_typer(table, name="table")
app.add_typer(figure, name="figure")

Output = Annotated[Path, typer.Option(help="File to write.")]


@table.command("scan")
def scan_table(
    parts: Annotated[list[Path], typer.Argument(help="CSV files of the evaluations.")],
    output: Output,
    summary: Annotated[Path, typer.Option(help="Mean, sd and n over the seeds.")],
) -> None:
    """Write scan.csv and scan_summary.csv."""
    from equitune.results import tables

    keys = [*tables.SCAN_KEYS, "seed"]
    rows = tables.gather(parts, tables.SCAN_COLUMNS, keys)
    tables.write(rows, output)
    tables.write(tables.summarize(rows, tables.SCAN_KEYS, tables.SCAN_MEASURES), summary)


@figure.command("scan-accuracy")
def scan_accuracy(
    scan: Annotated[Path, typer.Option(help="scan.csv.")],
    published: Annotated[Path, typer.Option(help="published.csv.")],
    stem: Annotated[Path, typer.Option(help="Output path without suffix: .svg, .pdf and .csv.")],
) -> None:
    """Draw test accuracy by task, architecture and method."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.scan_accuracy(
        tables.read(scan, tables.SCAN_COLUMNS), tables.read(published, tables.PUBLISHED_COLUMNS)
    )
    style.save(drawn, stem, shown)


@app.command()
def figures(
    tables: Annotated[Path, typer.Option(help="Folder of the tables: results/tables.")],
    published: Annotated[Path, typer.Option(help="published.csv.")],
    output: Annotated[Path, typer.Option(help="Folder to draw in.")],
) -> None:
    """Draw every figure whose tables are there, whoever made them."""
    drawn = 0
    if (scan := tables / "scan.csv").exists():
        scan_accuracy(scan, published, output / "scan_accuracy")
        drawn += 1
    if not drawn:
        raise ValueError(f"no table to draw from in {tables}: run snakemake, or lay scan.csv there")
