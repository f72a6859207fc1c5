"""Commands on the tables of images, and what all commands on tables share; no torch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equitune.names import show

if TYPE_CHECKING:
    import pandas as pd

Parts = Annotated[list[Path], typer.Argument(help="CSV files of the evaluations.")]
Output = Annotated[Path, typer.Option(help="File to write.")]
Published = Annotated[Path, typer.Option(help="published.csv.")]
Image = Annotated[Path, typer.Option(help="image.csv.")]
Stem = Annotated[Path, typer.Option(help="Output path without suffix: .svg, .pdf and .csv.")]


def add(table: typer.Typer, figure: typer.Typer) -> None:
    """Add the commands to those that make tables and those that draw figures."""
    table.command("image-elements")(image_elements)
    table.command("image-examples")(image_examples)
    table.command("image-gains")(image_gains_table)
    table.command("image-forecast")(image_forecast_table)
    figure.command("image-accuracy")(image_accuracy)
    figure.command("image-cost")(image_cost)
    figure.command("image-rotation")(image_rotation)
    figure.command("image-orbits")(image_orbits)
    figure.command("image-gains")(image_gains)
    figure.command("image-forecast")(image_forecast)


def image_elements(parts: Parts, output: Output) -> None:
    """Write image_elements.csv: accuracy for each element of the groups."""
    from equitune.results import tables

    keys = [*tables.IMAGE_KEYS, "seed", "measured_by", "element"]
    write_described(tables.gather(parts, tables.IMAGE_ELEMENT_COLUMNS, keys), output, parts)


def image_examples(parts: Parts, output: Output) -> None:
    """Write image_examples.csv: a few images, and predictions of the first seed's models."""
    from equitune.results import tables

    keys = [*tables.IMAGE_KEYS, "seed", "measured_by", "image", "element"]
    rows = tables.gather(parts, tables.IMAGE_EXAMPLE_COLUMNS, keys)
    write_described(tables.first_seed(rows), output, parts)


def image_gains_table(parts: Parts, output: Output) -> None:
    """Write image_gains.csv: equi-tuned models against fine-tuned ones, image by image."""
    from equitune.results import gains

    write_described(gains.gains(_scores(parts)), output, parts)


def image_forecast_table(
    parts: Parts,
    scores: Annotated[list[Path], typer.Option(help="Scores of the evaluations, image by image.")],
    output: Output,
) -> None:
    """Write image_forecast.csv: gains foretold without labels, and gains measured."""
    from equitune.results import gains, tables

    foretold = tables.gather(parts, tables.IMAGE_FORECAST_PART_COLUMNS, tables.IMAGE_FORECAST_KEYS)
    write_described(gains.forecasts(foretold, _scores(scores)), output, [*parts, *scores])


def image_accuracy(image: Image, published: Published, stem: Stem) -> None:
    """Draw accuracy on upright and on moved images by dataset, architecture and method."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.image_accuracy(
        tables.read(image, tables.IMAGE_COLUMNS), tables.read(published, tables.PUBLISHED_COLUMNS)
    )
    style.save(drawn, stem, shown)


def image_cost(image: Image, stem: Stem) -> None:
    """Draw the time that training takes, against plain fine-tuning."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.image_cost(tables.read(image, tables.IMAGE_COLUMNS))
    style.save(drawn, stem, shown)


def image_rotation(
    elements: Annotated[Path, typer.Option(help="image_elements.csv.")], stem: Stem
) -> None:
    """Draw accuracy against the group element that moved the test images."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.image_rotation(tables.read(elements, tables.IMAGE_ELEMENT_COLUMNS))
    style.save(drawn, stem, shown)


def image_orbits(
    image: Image,
    examples: Annotated[Path, typer.Option(help="image_examples.csv.")],
    folder: Annotated[Path, typer.Option(help="Draws image_orbit_<dataset>_<architecture> in it.")],
    dataset: Annotated[str | None, typer.Option(help="Of this one alone.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Of this one alone.")] = None,
) -> None:
    """Draw a few images, all their copies and what each model predicts, for each architecture."""
    from equitune.results import figures, style, tables

    rows = tables.read(examples, tables.IMAGE_EXAMPLE_COLUMNS)
    cells = tables.read(image, tables.IMAGE_COLUMNS)[["dataset", "architecture"]].drop_duplicates()
    for column, wanted in {"dataset": dataset, "architecture": architecture}.items():
        cells = cells[cells[column] == wanted] if wanted is not None else cells
    if cells.empty and (dataset, architecture) != (None, None):
        raise ValueError(f"{image} has no runs of {architecture or 'any'} on {dataset or 'any'}")
    for each, network in cells.itertuples(index=False):
        name = f"image_orbit_{each}_{network}"
        if not re.fullmatch(r"[\w.:-]{1,200}", name):  # a table may come from anybody
            raise ValueError(
                f"{image}: {show(name)} is no file's name: rename dataset or architecture"
            )
        drawn, shown = figures.image_orbit(rows, each, network)
        style.save(drawn, folder / name, shown)


def image_gains(gains: Annotated[Path, typer.Option(help="image_gains.csv.")], stem: Stem) -> None:
    """Draw what equi-tuning gains over fine-tuning, with intervals."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.image_gains(tables.read(gains, tables.IMAGE_GAIN_COLUMNS))
    style.save(drawn, stem, shown)


def image_forecast(
    forecast: Annotated[Path, typer.Option(help="image_forecast.csv.")], stem: Stem
) -> None:
    """Draw the gains that were measured against those foretold without labels."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.image_forecast(tables.read(forecast, tables.IMAGE_FORECAST_COLUMNS))
    style.save(drawn, stem, shown)


def write_described(rows: "pd.DataFrame", output: Path, parts: Sequence[Path]) -> None:
    """Write a table, and beside it what it was made from."""
    from equitune.manifests import describe
    from equitune.results import tables

    tables.write(rows, output)
    describe(output, {"table": output.stem}, parts, "cpu")


def _scores(parts: Sequence[Path]) -> "pd.DataFrame":
    """Read the scores of all cells; two equal images of a test set are two rows."""
    import pandas as pd

    from equitune.results import tables

    return pd.concat([tables.read(path, tables.IMAGE_SCORE_COLUMNS) for path in parts])
