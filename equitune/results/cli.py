"""Commands that make tables and figures from tables."""

from pathlib import Path
from typing import Annotated, Any

import typer

from equitune.io.resources import RESOURCES
from equitune.results.catalogue import FIGURES, PUBLISHED

app = typer.Typer(help="Tables and figures.")

Output = Annotated[Path, typer.Option(help="File to write.")]
Folder = Annotated[Path, typer.Option(help="Folder to draw in.")]
Tables = Annotated[Path, typer.Option(help="Folder of the tables: results/tables.")]
Published = Annotated[Path, typer.Option(help="published.csv.")]
Part = Annotated[str | None, typer.Option(help="Of a figure for each, this one alone.")]


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="The table, as its file is called without .csv.")],
    parts: Annotated[list[Path], typer.Argument(help="CSV files of the evaluations.")],
    output: Output,
    summary: Annotated[
        Path | None, typer.Option(help="File for mean, sd and n over the seeds.")
    ] = None,
    scores: Annotated[
        list[Path] | None, typer.Option(help="For image_forecast: scores, image by image.")
    ] = None,
) -> None:
    """Put the rows of runs together in a table."""
    from equitune.results import tables
    from equitune.results.gather import make
    from equitune.run.manifests import describe

    rows, means = make(name, parts, scores or ())
    if (means is None) != (summary is None):
        raise ValueError(f"table {name} takes {'no ' if means is None else ''}--summary")
    tables.write(rows, output)
    describe(output, {"table": output.stem}, [*parts, *(scores or ())], "cpu")
    if means is not None and summary is not None:
        tables.write(means, summary)


@app.command()
def provenance(
    parts: Annotated[
        list[Path],
        typer.Argument(help="Evaluations, beside whose models manifests are, or manifests."),
    ],
    output: Output,
) -> None:
    """Write provenance.csv: commit, device, machine, seeds and versions of the trained models."""
    from equitune.results import tables
    from equitune.results.provenance import provenance, read_manifests
    from equitune.run.manifests import git_state

    tables.write(provenance(read_manifests(parts), git_state(Path(__file__))), output)


@app.command()
def figure(
    name: Annotated[str, typer.Argument(help="The figure, as docs/figures.md calls it.")],
    files: Annotated[
        list[Path],
        typer.Argument(help="What it is drawn from, each known by its name, as scan.csv."),
    ],
    output: Folder,
    dataset: Part = None,
    architecture: Part = None,
) -> None:
    """Draw a figure from tables, as SVG and PDF, and write the numbers it shows as CSV."""
    from equitune.io.names import nearest
    from equitune.results.drawing import draw

    if name not in FIGURES:
        raise ValueError(f"unknown figure {name!r}{nearest(name, FIGURES)}")
    given = {"dataset": dataset, "architecture": architecture}
    only = {column: value for column, value in given.items() if value is not None}
    draw(FIGURES[name], {file.stem: file for file in files}, output, only)


@app.command()
def figures(
    tables: Tables, output: Folder, published: Published = RESOURCES / "published.csv"
) -> None:
    """Draw every figure whose tables are there, whoever made them."""
    from equitune.results.drawing import draw
    from equitune.results.tables import COLUMNS

    _check_folder(tables)
    files = {name: tables / f"{name}.csv" for name in COLUMNS}
    there = {name: file for name, file in files.items() if file.exists()} | {PUBLISHED: published}
    drawn = [each for each in FIGURES.values() if {*each.tables} <= there.keys()]
    if not drawn:
        raise ValueError(
            f"no table to draw from in {tables}: run snakemake, or lay scan.csv, image.csv, "
            "regard.csv, fairness.csv or cost.csv there"
        )
    for each in drawn:
        draw(each, there, output)


@app.command()
def profile(
    results: Annotated[Path, typer.Option(help="Folder of a run.")] = Path("results"),
) -> None:
    """Tabulate what each job of a run took, and draw where the time went."""
    from equitune.results import tables
    from equitune.results.drawing import draw
    from equitune.results.profile import profile

    table = results / "tables" / "jobs.csv"
    tables.write(profile(results), table)
    draw(FIGURES["job_times"], {"jobs": table}, results / "figures")


@app.command()
def catalogue() -> None:
    """Print the table of docs/figures.md."""
    from equitune.results.catalogue import page

    typer.echo(page(), nl=False)


@app.command()
def claims(
    tables: Tables,
    claims: Annotated[Path, typer.Option(help="claims.yaml.")],
    published: Published,
    output: Output,
    settings: Annotated[
        str | None, typer.Option(help="What the run was made with: key=value,…; or YAML or JSON.")
    ] = None,
) -> None:
    """Test the papers' claims on the tables that are there, whoever made them."""
    from equitune import options
    from equitune.io import texts
    from equitune.results.claim import Claim
    from equitune.results.claims import judge
    from equitune.results.tables import COLUMNS, read, write

    _check_folder(tables)
    paths = {name: tables / f"{name}.csv" for name in ("scan", "image", "fairness", "image_gains")}
    write(
        judge(
            options.settings(list[Claim], texts.read_text(claims), str(claims)),
            {name: read(path, COLUMNS[name]) for name, path in paths.items() if path.exists()},
            read(published, COLUMNS[PUBLISHED]),
            options.settings(dict[str, Any], settings, "--settings") if settings else None,
        ),
        output,
    )


@app.command()
def page(
    name: Annotated[str, typer.Argument(help="scan, image, language or claims.")],
    tables: Tables,
    output: Output,
) -> None:
    """Write what a run found as a part of the report: sentences with numbers, or the claims."""
    from equitune.io.files import atomic_write
    from equitune.io.names import nearest
    from equitune.results import findings
    from equitune.results.claims import CLAIM_COLUMNS
    from equitune.results.tables import COLUMNS, read

    _check_folder(tables)
    if name == "claims":
        text = findings.claims(read(tables / "claims.csv", CLAIM_COLUMNS))
    elif name in findings.FINDINGS:
        state, needed = findings.FINDINGS[name]
        text = findings.page(state(*(read(tables / f"{x}.csv", COLUMNS[x]) for x in needed)))
    else:
        known = [*findings.FINDINGS, "claims"]
        raise ValueError(f"unknown part {name!r}{nearest(name, known)}: {', '.join(known)}")
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _check_folder(tables: Path) -> None:
    if tables.is_file():
        raise ValueError(f"{tables} is a file: name its folder")
