"""Options that the commands of all experiments share; knows no experiment and no tensor."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
import yaml

from equitune.config import parse

T = TypeVar("T")

Input = Annotated[Path, typer.Option(help="File to read.")]
Output = Annotated[Path, typer.Option(help="File to write.")]
Seed = Annotated[int, typer.Option(help="Decides every random choice.")]
Settings = Annotated[str, typer.Option(help="Optimizer and schedule, as YAML or JSON.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Mirror = Annotated[str | None, typer.Option(help="Folder or URL that is looked in first.")]
States = Annotated[
    Path | None, typer.Option(help="Folder for the state that a killed run resumes from.")
]


def settings(kind: type[T], text: str, option: str) -> T:
    """Read one of the configuration's dataclasses from an option's text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{option} is no YAML: {' '.join(str(error).split())}") from error
    result: T = parse(kind, value, option)
    return result
