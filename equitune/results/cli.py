"""Commands that make tables and figures from tables; they know no model and import no torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equitune.results import image_commands, language_commands
from equitune.results.image_commands import Output, Parts, Published, Stem, write_described

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(help="Tables and figures.")
table = typer.Typer(help="Put the runs' rows together.")
figure = typer.Typer(help="Draw a figure from tables.")
app.add_typer(table, name="table")
app.add_typer(figure, name="figure")
image_commands.add(table, figure)
language_commands.add(table, figure)

Summary = Annotated[Path, typer.Option(help="Mean, sd and n over the seeds.")]
Fairness = Annotated[Path, typer.Option(help="fairness.csv.")]
Truth = Annotated[
    Path | None, typer.Option(help="truth.csv: what the embedded model's corpus was made with.")
]


@table.command("scan")
def scan_table(parts: Parts, output: Output, summary: Summary) -> None:
    """Write scan.csv and scan_summary.csv."""
    from equitune.results import tables

    columns, keys, measures = tables.SCAN_COLUMNS, tables.SCAN_KEYS, tables.SCAN_MEASURES
    _runs(parts, columns, keys, measures, output, summary)


@table.command("image")
def image_table(parts: Parts, output: Output, summary: Summary) -> None:
    """Write image.csv and image_summary.csv."""
    from equitune.results import tables

    columns, keys, measures = tables.IMAGE_COLUMNS, tables.IMAGE_KEYS, tables.IMAGE_MEASURES
    _runs(parts, columns, keys, measures, output, summary)


@table.command("regard")
def regard_table(parts: Parts, output: Output, summary: Summary) -> None:
    """Write regard.csv and regard_summary.csv."""
    from equitune.results import tables

    columns, keys, measures = tables.REGARD_COLUMNS, tables.REGARD_KEYS, tables.REGARD_MEASURES
    _runs(parts, columns, keys, measures, output, summary, ["scorer"])


@table.command("fairness")
def fairness_table(parts: Parts, output: Output, summary: Summary) -> None:
    """Write fairness.csv and fairness_summary.csv."""
    from equitune.results import tables

    columns, keys = tables.FAIRNESS_COLUMNS, tables.FAIRNESS_KEYS
    _runs(parts, columns, keys, tables.FAIRNESS_MEASURES, output, summary, ["scorer"])


@table.command("regard-scorer")
def regard_scorer_table(parts: Parts, output: Output) -> None:
    """Write regard_scorer.csv: the accuracy of the scorers that were trained here."""
    from equitune.results import tables

    rows = tables.gather(parts, tables.SCORER_COLUMNS, tables.SCORER_KEYS)
    write_described(rows, output, parts)


@table.command("language-texts")
def language_texts(parts: Parts, output: Output) -> None:
    """Write language_texts.csv: a few texts, those of all demographics side by side."""
    from equitune.results import tables

    keys = [*tables.LANGUAGE_TEXT_KEYS, "seed", "demographic"]
    rows = tables.gather(parts, tables.LANGUAGE_TEXT_COLUMNS, keys)
    write_described(tables.side_by_side(rows), output, parts)


@table.command("provenance")
def provenance_table(
    parts: Annotated[
        list[Path],
        typer.Argument(help="Evaluations, beside whose models manifests are, or manifests."),
    ],
    output: Output,
) -> None:
    """Write provenance.csv: commit, device, machine, seeds and versions of the trained models."""
    from equitune.manifests import git_state
    from equitune.results import tables
    from equitune.results.provenance import provenance

    manifests = []
    for part in parts:
        if part.suffix == ".json":
            manifests.append(part)
            continue
        runs = tables.read(part, ["method", "group"])[["method", "group"]]
        manifests += [
            part.parent / method / group / "manifest.json"
            for method, group in runs.itertuples(index=False)
        ]
    facts = [json.loads(manifest.read_text(encoding="utf-8")) for manifest in manifests]
    tables.write(provenance(facts, git_state(Path(__file__))), output)


@table.command("cost")
def cost_table(parts: Parts, output: Output) -> None:
    """Write cost.csv: what the benchmarks have measured."""
    from equitune.results import tables

    write_described(tables.gather(parts, tables.COST_COLUMNS, tables.COST_KEYS), output, parts)


def _runs(
    parts: list[Path],
    columns: Sequence[str],
    keys: Sequence[str],
    measures: Sequence[str],
    output: Path,
    summary: Path,
    apart: Sequence[str] = (),
) -> None:
    """Write the table of an experiment's runs, and its summary over seeds.

    Runs of one cell that differ in a column of `apart` are summarized apart.
    """
    from equitune.results import tables

    rows = tables.gather(parts, columns, [*keys, "seed"])
    means = tables.summarize(rows, [*keys, *apart], measures)  # before any file: it may fail
    write_described(rows, output, parts)
    tables.write(means, summary)


@figure.command("scan-accuracy")
def scan_accuracy(
    scan: Annotated[Path, typer.Option(help="scan.csv.")], published: Published, stem: Stem
) -> None:
    """Draw test accuracy by task, architecture and method."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.scan_accuracy(
        tables.read(scan, tables.SCAN_COLUMNS), tables.read(published, tables.PUBLISHED_COLUMNS)
    )
    style.save(drawn, stem, shown)


@figure.command("language-regard")
def language_regard(
    regard: Annotated[Path, typer.Option(help="regard.csv.")],
    published: Published,
    stem: Stem,
    truth: Truth = None,
) -> None:
    """Draw the shares of regard by axis, task, model and method, demographics side by side."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.language_regard(
        tables.read(regard, tables.REGARD_COLUMNS),
        tables.read(published, tables.PUBLISHED_COLUMNS),
        _truth(truth),
    )
    style.save(drawn, stem, shown)


@figure.command("language-gaps")
def language_gaps(fairness: Fairness, stem: Stem, truth: Truth = None) -> None:
    """Draw the gaps in regard between demographics, with their intervals."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.language_gaps(
        tables.read(fairness, tables.FAIRNESS_COLUMNS),
        _truth(truth),
    )
    style.save(drawn, stem, shown)


@figure.command("language-fairness")
def language_fairness(fairness: Fairness, stem: Stem) -> None:
    """Draw how far the models are from group-theoretic fairness, and their perplexity."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.language_fairness(tables.read(fairness, tables.FAIRNESS_COLUMNS))
    style.save(drawn, stem, shown)


@figure.command("cost")
def cost_figures(
    cost: Annotated[Path, typer.Option(help="cost.csv.")],
    folder: Annotated[Path, typer.Option(help="Draws cost_loop and the others in it.")],
) -> None:
    """Draw what everything costs: speed-up, floor, order of the group, peers, states."""
    from equitune.results import style, tables
    from equitune.results.figures.cost import FIGURES

    rows = tables.read(cost, tables.COST_COLUMNS)
    for name, draw in FIGURES.items():
        drawn, shown = draw(rows)
        style.save(drawn, folder / name, shown)


def _truth(path: Path | None) -> "pd.DataFrame | None":
    """Read truth.csv, if there is one."""
    from equitune.results import tables

    return None if path is None else tables.read(path, tables.TRUTH_COLUMNS)


@app.command()
def figures(
    tables: Annotated[Path, typer.Option(help="Folder of the tables: results/tables.")],
    published: Published,
    output: Annotated[Path, typer.Option(help="Folder to draw in.")],
) -> None:
    """Draw every figure whose tables are there, whoever made them."""
    scan, image = tables / "scan.csv", tables / "image.csv"
    elements, examples = tables / "image_elements.csv", tables / "image_examples.csv"
    gains, foretold = tables / "image_gains.csv", tables / "image_forecast.csv"
    regard, fairness = tables / "regard.csv", tables / "fairness.csv"
    pronouns, tuning = tables / "language_pronouns.csv", tables / "language_tuning.csv"
    cost = tables / "cost.csv"
    truth = tables / "truth.csv" if (tables / "truth.csv").exists() else None
    known = scan, image, elements, gains, foretold, regard, fairness, pronouns, tuning, cost
    if not any(table.exists() for table in known):
        raise ValueError(
            f"no table to draw from in {tables}: run snakemake, or lay scan.csv, image.csv, "
            "regard.csv, fairness.csv or cost.csv there"
        )
    if scan.exists():
        scan_accuracy(scan, published, output / "scan_accuracy")
    if image.exists():
        image_commands.image_accuracy(image, published, output / "image_accuracy")
        image_commands.image_cost(image, output / "image_cost")
    if elements.exists():
        image_commands.image_rotation(elements, output / "image_rotation")
    if gains.exists():
        image_commands.image_gains(gains, output / "image_gains")
    if foretold.exists():
        image_commands.image_forecast(foretold, output / "image_forecast")
    if image.exists() and examples.exists():
        image_commands.image_orbits(image, examples, output)
    if regard.exists():
        language_regard(regard, published, output / "language_regard", truth)
    if fairness.exists():
        language_gaps(fairness, output / "language_gaps", truth)
        language_fairness(fairness, output / "language_fairness")
    if pronouns.exists():
        language_commands.language_pronouns(pronouns, output / "language_pronouns")
    if tuning.exists():
        language_commands.language_tuning(tuning, output / "language_tuning")
    if cost.exists():
        cost_figures(cost, output)


@app.command()
def claims(
    tables: Annotated[Path, typer.Option(help="Folder of the tables: results/tables.")],
    claims: Annotated[Path, typer.Option(help="claims.yaml.")],
    published: Published,
    output: Output,
    settings: Annotated[
        str | None, typer.Option(help="What the run was made with, as YAML or JSON.")
    ] = None,
) -> None:
    """Test the papers' claims on the tables that are there, whoever made them."""
    from equitune import options, texts
    from equitune.results import claims as judged
    from equitune.results import tables as read
    from equitune.results.claim import Claim

    columns = {
        "scan": read.SCAN_COLUMNS,
        "image": read.IMAGE_COLUMNS,
        "fairness": read.FAIRNESS_COLUMNS,
        "image_gains": read.IMAGE_GAIN_COLUMNS,
    }
    paths = {name: tables / f"{name}.csv" for name in columns}
    read.write(
        judged.judge(
            options.settings(list[Claim], texts.read_text(claims), str(claims)),
            {name: read.read(path, columns[name]) for name, path in paths.items() if path.exists()},
            read.read(published, read.PUBLISHED_COLUMNS),
            options.settings(dict[str, Any], settings, "--settings") if settings else None,
        ),
        output,
    )
