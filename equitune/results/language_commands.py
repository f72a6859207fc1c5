"""Commands on the tables of pronouns and of tuned language models; no torch."""

from pathlib import Path
from typing import Annotated

import typer

from equitune.results.image_commands import Output, Parts, Stem, write_described


def add(table: typer.Typer, figure: typer.Typer) -> None:
    """Add the commands to those that make tables and those that draw figures."""
    table.command("language-pronouns")(language_pronouns_table)
    table.command("language-tuning")(language_tuning_table)
    figure.command("language-pronouns")(language_pronouns)
    figure.command("language-tuning")(language_tuning)


def language_pronouns_table(parts: Parts, output: Output) -> None:
    """Write language_pronouns.csv: how often the first gendered pronoun agrees."""
    from equitune.results import tables

    keys = [*tables.REGARD_KEYS, "seed"]
    write_described(tables.gather(parts, tables.PRONOUN_COLUMNS, keys), output, parts)


def language_pronouns(
    pronouns: Annotated[Path, typer.Option(help="language_pronouns.csv.")], stem: Stem
) -> None:
    """Draw how often the first gendered pronoun agrees with the subject."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.language_pronouns(tables.read(pronouns, tables.PRONOUN_COLUMNS))
    style.save(drawn, stem, shown)


def language_tuning_table(parts: Parts, output: Output) -> None:
    """Write language_tuning.csv: perplexity and fairness while models are tuned."""
    from equitune.results import tables

    keys = [*tables.TUNING_KEYS, "seed"]
    write_described(tables.gather(parts, tables.TUNING_COLUMNS, keys), output, parts)


def language_tuning(
    tuning: Annotated[Path, typer.Option(help="language_tuning.csv.")], stem: Stem
) -> None:
    """Draw perplexity before and after tuning, and the distance from fairness at every step."""
    from equitune.results import figures, style, tables

    drawn, shown = figures.language_tuning(tables.read(tuning, tables.TUNING_COLUMNS))
    style.save(drawn, stem, shown)
