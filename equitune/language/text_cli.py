"""Commands that read texts which are there already."""

from pathlib import Path
from typing import Annotated

from equitune.compat import extra
from equitune.config import TextColumns
from equitune.options import Input, Output, settings

with extra("workflow"):
    import typer

Model = Annotated[str, typer.Option(help="Name of the model, as it stands in the tables.")]
PromptFile = Annotated[Path | None, typer.Option(help="Prompts of your own; else those shipped.")]


def published(source: Input, model: Model, output: Output, prompts: PromptFile = None) -> None:
    """Read published samples, one text per line, as those of a model."""
    from equitune.language.prompts import read_prompts
    from equitune.language.samples import read_published, write_samples

    write_samples(output, read_published(source, read_prompts(prompts), model))


def texts(
    source: Input,
    model: Model,
    axis: Annotated[str, typer.Option(help="What the groups differ in.")],
    output: Output,
    columns: Annotated[str, typer.Option(help="text=…,group=…,pair=…; or YAML.")] = "{}",
) -> None:
    """Read texts of another system, a CSV, TSV, JSONL or parquet, as those of a model."""
    from equitune.language.samples import write_samples
    from equitune.language.texts import read_texts

    chosen = settings(TextColumns, columns, "--columns")
    write_samples(output, read_texts(source, chosen, model, axis))
