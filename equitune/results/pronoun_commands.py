"""Commands on the agreement of pronouns: its table and its figure; no torch."""

from pathlib import Path
from typing import Annotated

import typer

from equitune.results.image_commands import Output, Parts, Stem, write_described


def add(table: typer.Typer, figure: typer.Typer) -> None:
    """Add the commands to those that make tables and those that draw figures."""
    table.command("language-pronouns")(language_pronouns_table)
    figure.command("language-pronouns")(language_pronouns)


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
