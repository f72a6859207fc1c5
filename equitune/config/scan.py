"""The section `scan` of the configuration."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from equitune import methods
from equitune.config.base import IDENTITY, STRICT, Name, Place, Seed, Training, about, repeated
from equitune.io.names import nearest, show

ScanTask = Literal["add_jump", "around_right", "simple"]
# the cells of equitune/scan/recurrence.py, which this does not import, as it imports torch
ScanArchitecture = Literal["LSTM", "GRU", "RNN"]
CommandWord = Literal[
    "walk", "look", "run", "jump", "turn", "left", "right",
    "opposite", "around", "twice", "thrice", "and", "after",
]  # fmt: skip
ActionWord = Literal["I_WALK", "I_LOOK", "I_RUN", "I_JUMP", "I_TURN_LEFT", "I_TURN_RIGHT"]
TASKS, WORDS = (
    get_args(ScanTask),
    {"commands": get_args(CommandWord), "actions": get_args(ActionWord)},
)
SCAN_METHODS = methods.names("scan")
if TYPE_CHECKING:  # a checker cannot follow a literal that is computed
    ScanMethod = str
else:
    ScanMethod = Literal[SCAN_METHODS]


@dataclass(config=STRICT, frozen=True)
class ScanSplit:
    """The lines of a split of one's own."""

    train: Annotated[Place, about("file of lines IN: … OUT: …, or of two columns and a tab")]
    test: Annotated[Place, about("likewise")]


@dataclass(config=STRICT, frozen=True)
class Permutation:
    """A permutation of words as disjoint cycles; its powers are the group."""

    commands: Annotated[
        list[list[str]], about("cycles of command words: each becomes the next")
    ] = Field(default_factory=list)
    actions: Annotated[list[list[str]], about("cycles of action words: each becomes the next")] = (
        Field(default_factory=list)
    )


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
        list[Name],
        about(
            "add_jump, around_right, simple (only as published), or of scan.splits", min_length=1
        ),
    ]
    splits: Annotated[dict[Name, ScanSplit], about("splits of your own, by the task's name")]
    architectures: Annotated[list[ScanArchitecture], about("recurrent cells", min_length=1)]
    methods: Annotated[list[ScanMethod], about("what is done to the models", min_length=1)]
    seeds: Annotated[list[Seed], about("one run for each", min_length=1)]
    groups: Annotated[
        dict[Name, list[Name]],
        about("permutations for each task; models without a group are measured by the first"),
    ]
    permutations: Annotated[dict[Name, Permutation], about("the groups by name; add your own")]
    validation_fraction: Annotated[
        float, about("share of the training commands held out for validation", gt=0, lt=1)
    ]
    subset: Annotated[
        int | None, about("trial runs: at most this many pairs of each part; null: all", ge=1)
    ]
    model: Annotated[Seq2SeqModel, about("the models")]
    pretraining: Annotated[
        dict[ScanArchitecture, Training], about("training from scratch, by architecture")
    ]
    tuning: Annotated[
        dict[ScanArchitecture, Training], about("training of every tuning method, by architecture")
    ]


def _of_published(scan: Scan) -> set[str]:
    """Return the permutations of the tasks that are run and have SCAN's own words."""
    return {name for task in scan.tasks if task in TASKS for name in scan.groups.get(task, ())}


def problems(scan: Scan) -> Iterator[str]:
    """What no single key shows: names used but not defined, or named twice."""
    for key in ("tasks", "architectures", "methods", "seeds"):
        if twice := repeated(getattr(scan, key)):
            yield f"{key}: {twice[0]!r} is listed twice; list it once"
    for place, task in enumerate(scan.tasks):
        if task not in (tasks := [*TASKS, *scan.splits]):
            yield f"tasks[{place}]: unknown task {show(task)}{nearest(task, tasks)}"
    for task in scan.splits:
        if task in TASKS:
            yield f"splits: {show(task)} is a published split; choose another name"
    if "simple" in scan.tasks and scan.source == "grammar":
        yield (
            "tasks: 'simple' is a random split that exists only as published; "
            "set scan.source: published"
        )
    for task in scan.groups:
        if task not in (tasks := [*TASKS, *scan.splits]):
            yield f"groups: unknown task {show(task)}{nearest(task, tasks)}"
    for task in scan.tasks:
        if not scan.groups.get(task):
            yield f"groups: task {show(task)} has no group; add {task}: [NAME] to scan.groups"
    for task, names in scan.groups.items():
        for place, name in enumerate(names):
            if name not in scan.permutations:
                known = nearest(name, scan.permutations)
                yield f"groups.{task}[{place}]: unknown permutation {show(name)}{known}"
        if twice := repeated(names):
            yield f"groups.{task}: {twice[0]!r} is listed twice; list it once"
    # words of one's own are those of the files, which the first job compares with these
    free = {name for task in scan.splits for name in scan.groups.get(task, ())}
    for name, permutation in scan.permutations.items():
        for kind, vocabulary in WORDS.items():
            cycles = getattr(permutation, kind)
            strange = [
                (f"[{i}][{j}]", word)
                for i, cycle in enumerate(cycles)
                for j, word in enumerate(cycle)
                if word not in vocabulary
            ]
            if strange and (name not in free or name in _of_published(scan)):
                where, word = strange[0]
                yield (
                    f"permutations.{name}.{kind}{where}: unknown word {show(word)}"
                    f"{nearest(word, vocabulary)}"
                )
            if twice := repeated([word for cycle in cycles for word in cycle]):
                yield (
                    f"permutations.{name}.{kind}: no permutation, as {twice[0]!r} stands there "
                    "twice; each word goes to one other"
                )
    if IDENTITY in scan.permutations:
        yield f"permutations: the name {IDENTITY!r} is reserved; choose another"
    for architecture in scan.architectures:
        for stage in ("pretraining", "tuning"):
            plan = getattr(scan, stage).get(architecture)
            if plan is not None and plan.adapter is not None:
                yield f"{stage}.{architecture}.adapter: recurrent cells take none; leave it out"
            if plan is None:
                yield f"{stage}: nothing for {architecture}; add scan.{stage}.{architecture}"
