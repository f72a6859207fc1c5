"""Commands of the SCAN experiment: arguments to calls."""

import re
from dataclasses import asdict, fields, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from equitune.compat import extra
from equitune.config import Permutation, Seq2SeqModel, Training
from equitune.config.scan import ScanArchitecture
from equitune.io.files import atomic_write
from equitune.methods import names
from equitune.options import (
    ELSE,
    Dataset,
    Device,
    Input,
    Mirror,
    Output,
    RunSeed,
    Seed,
    Settings,
    States,
    build,
    placed,
    settings,
    states,
)

with extra("workflow"):
    import typer

app = typer.Typer(help="Compositional generalization on SCAN.")

Cycles = Annotated[
    str,
    typer.Option(
        help="Cycles of words: commands=jump+run,actions=I_JUMP+I_RUN, several as a+b/c+d; as"
        " YAML; or a name, as jump_run."
    ),
]


@app.command()
def split(
    task: Annotated[str, typer.Argument(help="add_jump, around_right or simple.")],
    train: Output,
    test: Output,
    source: Annotated[
        Literal["grammar", "published"], typer.Option(help="Generate, or retrieve the files.")
    ] = "grammar",
    mirror: Mirror = None,
) -> None:
    """Write a task's training and test lines, checked against the published checksums."""
    from equitune.io.registry import sources
    from equitune.io.retrieve import check_lines, retrieve
    from equitune.scan import grammar

    outputs = {"train": train, "test": test}
    if source == "grammar":
        parts = dict(zip(outputs, grammar.split(task), strict=True))
        for part, output in outputs.items():
            check_lines(sources()[f"scan_{task}_{part}"], parts[part])
            with atomic_write(output) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in parts[part]), encoding="utf-8")
        return
    grammar.check_task(task)
    for part, output in outputs.items():
        retrieve(sources()[f"scan_{task}_{part}"], output, mirror)


@app.command()
def dataset(
    train: Input,
    test: Input,
    task: Annotated[str, typer.Option(help="Name of the task, kept with the dataset.")],
    seed: Seed,
    validation_fraction: Annotated[float, typer.Option(help="Share held out of training.")],
    output: Output,
    subset: Annotated[
        int | None, typer.Option(help="Trial runs: at most this many pairs of each part.")
    ] = None,
    permutation: Annotated[
        list[str] | None,
        typer.Option(help="NAME=commands=…,actions=…: cycles that the lines must agree with."),
    ] = None,
) -> None:
    """Split off the validation part and encode all parts."""
    from equitune.scan.agreement import check_permutation
    from equitune.scan.data import build_dataset, read_pairs, save_dataset, vocabularies, words_of

    lines = read_pairs(train), read_pairs(test)
    sides = vocabularies(*lines)
    for text in permutation or ():
        key, cycles = _named(text)
        check_permutation(key, cycles, chain(*lines), sides, f"{train} and {test}")
    parts = build_dataset(*lines, seed, validation_fraction, subset, sides=sides)
    facts = {"seed": seed, "validation_fraction": validation_fraction, "subset": subset}
    own = {} if words_of(sides) is None else {"words": words_of(sides)}
    save_dataset(output, parts, task=task, **facts, **own)


def _named(text: str) -> tuple[str, dict[str, Any]]:
    """Return the key of a permutation and its cycles from NAME=CYCLES, or from one of the two."""
    name, separator, cycles = text.partition("=")
    key = "--permutation"
    sides = {field.name for field in fields(Permutation)}
    alone = name in sides and not re.match(r"\w+=|{", cycles)  # commands=jump+run is no name
    if separator and re.fullmatch(r"\w+", name) and not alone:
        key, text = f"scan.permutations.{name}", cycles
    return key, asdict(settings(Permutation, text, key, "scan.permutations"))


@app.command()
def pretrain(
    training: Settings,
    output: Output,
    dataset: Dataset = None,
    architecture: Annotated[
        str | None, typer.Option(help=f"{', '.join(get_args(ScanArchitecture))}{ELSE}")
    ] = None,
    seed: RunSeed = None,
    model: Annotated[str, typer.Option(help="Widths and dropout: hidden=64,…; or YAML.")] = "{}",
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train a model from scratch."""
    from equitune.run.job import Job
    from equitune.scan import experiment
    from equitune.scan.data import load_dataset
    from equitune.scan.run import ScanRun

    place = placed(output, dataset=dataset, architecture=architecture, seed=seed)
    run = build(
        ScanRun,
        architecture=place.architecture,
        seed=place.seed,
        model=settings(Seq2SeqModel, model, "--model"),
        training=settings(Training, training, "--training"),
    )
    run = replace(run, words=load_dataset(place.dataset)[1].get("words"))
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    experiment.pretrain(run, place.dataset, job)


@app.command()
def tune(
    pretrained: Input,
    permutation: Cycles,
    training: Settings,
    output: Output,
    dataset: Dataset = None,
    method: Annotated[
        str | None, typer.Option(help=f"{', '.join(names('scan', head_only=False))}{ELSE}")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help=f"Name of the group, as it stands in the table{ELSE}")
    ] = None,
    seed: RunSeed = None,
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train a pretrained model further by a method."""
    from equitune.run.job import Job
    from equitune.saving.trained import read_run
    from equitune.scan import experiment
    from equitune.scan.run import ScanRun

    place = placed(output, dataset=dataset, method=method, group=group, seed=seed)
    cycles = settings(Permutation, permutation, "--permutation", "scan.permutations")
    plan = settings(Training, training, "--training")
    before, _ = read_run(pretrained, ScanRun)
    run = build(
        ScanRun,
        words=before.words,
        architecture=before.architecture,
        method=place.method,
        group=place.group,
        permutation=cycles,
        seed=place.seed,
        model=before.model,
        training=plan,
    )
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    experiment.tune(run, place.dataset, pretrained, job)


@app.command()
def evaluate(
    models: Annotated[list[Path], typer.Argument(help="model.safetensors of each model.")],
    permutation: Cycles,
    output: Output,
    dataset: Dataset = None,
    device: Device = "auto",
) -> None:
    """Score models on the validation and the test part; groupless ones by --permutation."""
    from equitune.scan import evaluation

    evaluation.evaluate(
        placed(output, dataset=dataset).dataset,
        models,
        settings(Permutation, permutation, "--permutation", "scan.permutations"),
        output,
        device,
    )
