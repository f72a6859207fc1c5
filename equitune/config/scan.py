"""The section `scan` of the configuration."""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from equitune.config.base import IDENTITY, STRICT, Name, Seed, Training, about, repeated
from equitune.names import nearest

ScanTask = Literal["add_jump", "around_right", "simple"]
ScanArchitecture = Literal["LSTM", "GRU", "RNN"]
ScanMethod = Literal["pretrained", "finetune", "equitune", "lambda_equitune", "equizero"]
CommandWord = Literal[
    "walk", "look", "run", "jump", "turn", "left", "right",
    "opposite", "around", "twice", "thrice", "and", "after",
]  # fmt: skip
ActionWord = Literal["I_WALK", "I_LOOK", "I_RUN", "I_JUMP", "I_TURN_LEFT", "I_TURN_RIGHT"]
SCAN_METHODS: tuple[ScanMethod, ...] = get_args(ScanMethod)


@dataclass(config=STRICT, frozen=True)
class Permutation:
    """A permutation of words as disjoint cycles; its powers are the group."""

    commands: Annotated[
        list[list[CommandWord]], about("cycles of command words: each becomes the next")
    ] = Field(default_factory=list)
    actions: Annotated[
        list[list[ActionWord]], about("cycles of action words: each becomes the next")
    ] = Field(default_factory=list)


@dataclass(config=STRICT, frozen=True)
class Seq2SeqModel:
    """Widths of the sequence-to-sequence models."""

    embedding: Annotated[int, about("width of the command embedding", ge=1, le=8192)] = 64
    hidden: Annotated[int, about("width of each encoder direction", ge=1, le=8192)] = 64
    dropout: Annotated[float, about("on what encoder, decoder and attention give", ge=0, lt=1)] = (
        0.1
    )


@dataclass(config=STRICT, frozen=True)
class Scan:
    """The SCAN experiment."""

    source: Annotated[
        Literal["grammar", "published"], about("generate the benchmark, or retrieve its files")
    ]
    tasks: Annotated[
        list[ScanTask], about("splits of SCAN; simple only as published", min_length=1)
    ]
    architectures: Annotated[list[ScanArchitecture], about("recurrent cells", min_length=1)]
    methods: Annotated[list[ScanMethod], about("what is done to the models", min_length=1)]
    seeds: Annotated[list[Seed], about("one run for each", min_length=1)]
    groups: Annotated[
        dict[ScanTask, list[Name]],
        about("permutations for each task; models without a group are measured by the first"),
    ]
    permutations: Annotated[dict[Name, Permutation], about("the groups by name; add your own")]
    validation_fraction: Annotated[
        float, about("share of the training commands held out for validation", gt=0, lt=1)
    ]
    subset: Annotated[
        int | None, about("trial runs: at most so many pairs of each part; null: all", ge=1)
    ]
    model: Annotated[Seq2SeqModel, about("the models")]
    pretraining: Annotated[
        dict[ScanArchitecture, Training], about("training from scratch, by architecture")
    ]
    tuning: Annotated[
        dict[ScanArchitecture, Training], about("training of every tuning method, by architecture")
    ]


def problems(scan: Scan) -> Iterator[str]:
    """What no single key shows: names used but not defined, or named twice."""
    for key in ("tasks", "architectures", "methods", "seeds"):
        if twice := repeated(getattr(scan, key)):
            yield f"{key}: {twice[0]!r} stands there twice; name it once"
    if "simple" in scan.tasks and scan.source == "grammar":
        yield (
            "tasks: 'simple' is a random split that exists only as published; "
            "set scan.source: published"
        )
    for task in scan.tasks:
        if not scan.groups.get(task):
            yield f"groups: task {task!r} has no group; add {task}: [NAME] to scan.groups"
    for task, names in scan.groups.items():
        for place, name in enumerate(names):
            if name not in scan.permutations:
                known = nearest(name, scan.permutations)
                yield f"groups.{task}[{place}]: unknown permutation {name!r}{known}"
        if twice := repeated(names):
            yield f"groups.{task}: {twice[0]!r} stands there twice; name it once"
    for name, permutation in scan.permutations.items():
        for kind in ("commands", "actions"):
            cycles = getattr(permutation, kind)
            if twice := repeated([word for cycle in cycles for word in cycle]):
                yield (
                    f"permutations.{name}.{kind}: no permutation, as {twice[0]!r} stands there "
                    "twice; each word goes to one other"
                )
    if IDENTITY in scan.permutations:
        yield f"permutations: the name {IDENTITY!r} stands for no group; choose another"
    for architecture in scan.architectures:
        for stage in ("pretraining", "tuning"):
            if architecture not in getattr(scan, stage):
                yield f"{stage}: nothing for {architecture}; add scan.{stage}.{architecture}"
