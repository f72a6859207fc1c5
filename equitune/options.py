"""Options that the commands of all experiments share; knows no experiment and no tensor."""

from pathlib import Path
from typing import Annotated, TypeVar

from equitune.config import parse
from equitune.extras import extra
from equitune.texts import parse_yaml

with extra("workflow"):
    import typer

T = TypeVar("T")

Input = Annotated[Path, typer.Option(help="File to read.")]
Output = Annotated[Path, typer.Option(help="File to write.")]
Seed = Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Decides every random choice.")]
Settings = Annotated[str, typer.Option(help="Optimizer and schedule, as YAML or JSON.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Mirror = Annotated[str | None, typer.Option(help="Folder or URL that is looked in first.")]
States = Annotated[
    Path | None, typer.Option(help="Folder for the state that a killed run resumes from.")
]


def settings(kind: type[T], text: str, option: str) -> T:
    """Read one of the configuration's dataclasses from an option's text."""
    result: T = parse(kind, parse_yaml(text, option), option)
    return result
