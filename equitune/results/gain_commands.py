"""Commands on the gains of equi-tuning, and what all commands on tables share; no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

Parts = Annotated[list[Path], typer.Argument(help="CSV files of the evaluations.")]
Output = Annotated[Path, typer.Option(help="File to write.")]
Stem = Annotated[Path, typer.Option(help="Output path without suffix: .svg, .pdf and .csv.")]


def add(table: typer.Typer, figure: typer.Typer) -> None:
    """Add the commands to those that make tables and those that draw figures."""
    table.command("image-gains")(image_gains_table)
    table.command("image-forecast")(image_forecast_table)
    figure.command("image-gains")(image_gains)
    figure.command("image-forecast")(image_forecast)


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
