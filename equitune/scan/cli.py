"""Commands of the SCAN experiment: arguments to calls; knows no tensor."""

from pathlib import Path
from typing import Annotated, Literal

from equitune.config import Permutation, Seq2SeqModel, Training
from equitune.extras import extra
from equitune.files import atomic_write
from equitune.options import Device, Input, Mirror, Output, Seed, Settings, States, settings

with extra("workflow"):
    import typer

app = typer.Typer(help="Compositional generalization on SCAN.")

Cycles = Annotated[
    str, typer.Option(help="Cycles of words, {commands: [[…]], actions: [[…]]}, as YAML or JSON.")
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
    from equitune.registry import sources
    from equitune.retrieve import check_lines, retrieve
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
        int | None, typer.Option(help="Trial runs: at most so many pairs of each part.")
    ] = None,
) -> None:
    """Split off the validation part and encode all parts."""
    from equitune.scan.data import build_dataset, read_pairs, save_dataset

    parts = build_dataset(read_pairs(train), read_pairs(test), seed, validation_fraction, subset)
    facts = {"seed": seed, "validation_fraction": validation_fraction, "subset": subset}
    save_dataset(output, parts, task=task, **facts)


@app.command()
def pretrain(
    dataset: Input,
    architecture: Annotated[str, typer.Option(help="LSTM, GRU or RNN.")],
    seed: Seed,
    model: Annotated[str, typer.Option(help="Widths and dropout, as YAML or JSON.")],
    training: Settings,
    output: Output,
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train a model from scratch."""
    from equitune.scan import experiment

    experiment.pretrain(
        dataset,
        architecture,
        seed,
        settings(Seq2SeqModel, model, "--model"),
        settings(Training, training, "--training"),
        output,
        device,
        state_folder,
    )


@app.command()
def tune(
    dataset: Input,
    pretrained: Input,
    method: Annotated[str, typer.Option(help="finetune, equitune, lambda_equitune or equizero.")],
    group: Annotated[str, typer.Option(help="Name of the group, as it stands in the table.")],
    permutation: Cycles,
    seed: Seed,
    training: Settings,
    output: Output,
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train a pretrained model further by a method."""
    from equitune.scan import experiment

    experiment.tune(
        dataset,
        pretrained,
        method,
        group,
        settings(Permutation, permutation, "--permutation"),
        seed,
        settings(Training, training, "--training"),
        output,
        device,
        state_folder,
    )


@app.command()
def evaluate(
    models: Annotated[list[Path], typer.Argument(help="model.safetensors of each model.")],
    dataset: Input,
    permutation: Cycles,
    output: Output,
    device: Device = "auto",
) -> None:
    """Score models on the validation and the test part; groupless ones by --permutation."""
    from equitune.scan import experiment

    experiment.evaluate(
        dataset, models, settings(Permutation, permutation, "--permutation"), output, device
    )
