"""Options that the commands of all experiments share."""

from dataclasses import is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, TypeVar

from equitune.compat import extra
from equitune.config import parse
from equitune.io import flat, layout
from equitune.io.names import nearest, show
from equitune.io.resources import DEFAULTS
from equitune.io.texts import parse_yaml, read_text

with extra("workflow"):
    import typer

T = TypeVar("T")

ELSE = "; else what the folders of --output say."
Input = Annotated[Path, typer.Option(help="File to read.")]
Dataset = Annotated[Path | None, typer.Option(help=f"File of the dataset{ELSE}")]
Output = Annotated[Path, typer.Option(help="File to write.")]
Beside = Annotated[Path | None, typer.Option(help="A further file; else beside the other.")]
Seed = Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Decides every random choice.")]
RunSeed = Annotated[
    int | None,
    typer.Option(min=0, max=(1 << 32) - 1, help=f"Decides every random choice{ELSE}"),
]
Settings = Annotated[
    str, typer.Option(help="Optimizer and schedule: steps=10,batch_size=4,…; or YAML or JSON.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Mirror = Annotated[str | None, typer.Option(help="Folder or URL that is looked in first.")]
States = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the state that a killed run resumes from, or none; else results/states"
        " for what is written in results/, and none elsewhere."
    ),
]


def settings(kind: type[T], text: str, option: str, section: str = "") -> T:
    """Read one of the configuration's dataclasses from an option's text.

    Args:
        kind: the dataclass.
        text: key=value,key=value, YAML or JSON, or a name.
        option: with which an error opens.
        section: of the default run, where names stand, as "scan.permutations".

    Raises:
        ValueError: it is none of these; one line.
    """
    read = flat.read(text, option)
    if is_dataclass(kind) and isinstance(read, dict) and all(isinstance(key, str) for key in read):
        read = flat.nested(read, option)
    if section and isinstance(read, str):
        read = _named(read, section, option)
    result: T = parse(kind, read, option)
    return result


def states(folder: Path | None, output: Path) -> Path | None:
    """Return where a run keeps its state; None: nowhere.

    Args:
        folder: what --state-folder says; the word none stands for None.
        output: what the run will write; in a folder `results` the states stand in that.
    """
    if folder is not None:
        return None if folder == Path("none") else folder
    inside = (place / "states" for place in output.parents if place.name == "results")
    return next(inside, None)


def placed(output: Path, **given: object) -> Any:
    """Return options of a run, those that were not given as the folders of its output say them.

    Args:
        output: what will be written; see `layout.said`.
        given: options by name, None where one was left out.

    Raises:
        ValueError: neither the options nor the folders say one; all of these are named.
    """
    said = layout.said(output)
    found = {name: said.get(name) if value is None else value for name, value in given.items()}
    if missing := [f"--{name}" for name, value in found.items() if value is None]:
        raise ValueError(
            f"missing {', '.join(missing)}: name {'it' if len(missing) == 1 else 'them'}, or write"
            f" to {layout.FOLDERS}, which --output {output} does not"
        )
    return SimpleNamespace(**found)


def beside(given: Path | None, output: Path, name: str) -> Path:
    """Return where a further file goes: where an option says, else beside the output."""
    return output.with_name(name) if given is None else given


def build(kind: type[T], **values: object) -> T:
    """Make the run of an experiment from what the options said.

    Raises:
        ValueError: an option has a value that is not known; one line.
    """
    try:
        result: T = parse(kind, values, "")
    except ValueError as error:
        raise ValueError(f"--{str(error).removeprefix(': ')}") from None
    return result


def lexicons(text: str) -> dict[str, str]:
    """Read {axis: lexicon} from an option's text; of a name or several alone, as by default."""
    read = flat.read(text, "--axes")
    if isinstance(read, str):
        read = [read]
    if isinstance(read, list) and read and all(isinstance(name, str) for name in read):
        return {name: str(_named(name, "language.lexicons", "--axes")) for name in read}
    if not isinstance(read, dict) or not read:
        raise ValueError(f"--axes is {show(read)}: expected axis=lexicon, as race=race")
    return {str(axis): str(name) for axis, name in read.items()}


def _named(name: str, section: str, option: str) -> Any:
    """Return what the configuration of the default run has under a name."""
    known = parse_yaml(read_text(DEFAULTS), str(DEFAULTS))
    for key in section.split("."):
        known = known[key]
    if name not in known:
        raise ValueError(f"{option}: unknown name {show(name)} in {section}{nearest(name, known)}")
    return known[name]
