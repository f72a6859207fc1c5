"""The configuration as dataclasses, the single source of its schema and docs; knows no torch.

`load` turns what YAML gave into a `Config` or into one line that says what is wrong;
`equitune config schema` and `equitune config docs` write the two files that describe the keys.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from equitune.names import nearest

Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
ScanTask = Literal["add_jump", "around_right", "simple"]
ScanArchitecture = Literal["LSTM", "GRU", "RNN"]
ScanMethod = Literal["pretrained", "finetune", "equitune", "lambda_equitune", "equizero"]
CommandWord = Literal[
    "walk", "look", "run", "jump", "turn", "left", "right",
    "opposite", "around", "twice", "thrice", "and", "after",
]  # fmt: skip
ActionWord = Literal["I_WALK", "I_LOOK", "I_RUN", "I_JUMP", "I_TURN_LEFT", "I_TURN_RIGHT"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]

SCAN_METHODS: tuple[ScanMethod, ...] = get_args(ScanMethod)
GROUPLESS: tuple[ScanMethod, ...] = ("pretrained", "finetune")
IDENTITY = "identity"  # the group of methods that use none

STRICT = ConfigDict(extra="forbid")


def about(text: str, **limits: Any) -> Any:
    """Describe a key, and bound its value."""
    return Field(description=text, **limits)


@dataclass(config=STRICT, frozen=True)
class Retrieve:
    """Where downloads are looked for."""

    mirror: Annotated[
        str | None, about("folder or URL that is looked in before a file's own URL")
    ] = None


@dataclass(config=STRICT, frozen=True)
class Training:
    """One training run: optimizer, schedule, intervals."""

    steps: Annotated[int, about("optimizer steps", ge=0)]
    batch_size: Annotated[int, about("examples in a step", ge=1)]
    learning_rate: Annotated[float, about("the highest learning rate of the schedule", gt=0)]
    schedule: Annotated[
        Literal["one_cycle", "cosine", "constant"], about("how the learning rate moves")
    ] = "one_cycle"
    warmup: Annotated[
        float, about("share of the steps in which one_cycle's rate rises", ge=0, le=1)
    ] = 0.1
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], about("how weights are updated")] = "adam"
    betas: Annotated[tuple[float, float], about("decay rates of Adam's two moments")] = (0.9, 0.98)
    momentum: Annotated[float, about("of sgd", ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, about("L2 penalty; decoupled with adamw", ge=0)] = 0.0
    gradient_clip: Annotated[float, about("largest gradient norm; 0: no limit", ge=0)] = 1.0
    validate_every: Annotated[int, about("steps between validations; 0: only at the end", ge=0)] = 0
    save_seconds: Annotated[
        float, about("seconds between saves of the state a killed run resumes from", ge=0)
    ] = 30.0


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

    embedding: Annotated[int, about("width of the command embedding", ge=1)] = 64
    hidden: Annotated[int, about("width of each encoder direction", ge=1)] = 64
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
    seeds: Annotated[list[int], about("one run for each", min_length=1)]
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


@dataclass(config=STRICT, frozen=True)
class Config:
    """Everything a run is decided by."""

    device: Annotated[Device, about("auto, cpu, cuda, cuda:N or mps")]
    retrieve: Annotated[Retrieve, about("downloads")]
    scan: Annotated[Scan, about("compositional generalization on SCAN")]


def load(mapping: Mapping[str, Any]) -> Config:
    """Check a configuration.

    Args:
        mapping: what the YAML files gave, merged.

    Raises:
        ValueError: one line with the first thing that is wrong and the nearest valid name.
    """
    config: Config = parse(Config, mapping)
    for problem in _problems(config.scan):
        raise ValueError(f"config: scan.{problem}")
    return config


def merge(base: dict[str, Any], override: Mapping[str, Any]) -> None:
    """Lay one configuration over another, in place: sections key by key, all else replaced."""
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value


def parse(kind: type, value: Any, name: str = "config") -> Any:
    """Build one of the dataclasses from plain data; ValueError of one line as `load`."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ValueError(f"{name}: {_sentence(errors[0], adapter.json_schema())}{more}") from None


def schema() -> dict[str, Any]:
    """The configuration's JSON schema."""
    return TypeAdapter(Config).json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "equitune configuration",
    }


def docs() -> str:
    """Every key as a Markdown table: type, default, meaning."""
    whole = schema()
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{key}` | {' | '.join(cells)} |" for key, *cells in _keys(whole, whole, "")]
    return "\n".join(lines) + "\n"


def _problems(scan: Scan) -> Iterator[str]:
    """What no single key shows: names used but not defined, or named twice."""
    for key in ("tasks", "architectures", "methods", "seeds"):
        if twice := _repeated(getattr(scan, key)):
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
        if twice := _repeated(names):
            yield f"groups.{task}: {twice[0]!r} stands there twice; name it once"
    for name, permutation in scan.permutations.items():
        for kind in ("commands", "actions"):
            cycles = getattr(permutation, kind)
            if twice := _repeated([word for cycle in cycles for word in cycle]):
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


def _repeated(values: Iterable[Any]) -> list[Any]:
    """The values that stand there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def _sentence(error: Any, whole: dict[str, Any]) -> str:
    """One pydantic error as a sentence."""
    place = [part for part in error["loc"] if part != "[key]"]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        keys = _node(whole, place[:-1]).get("properties", {})
        inside = ".".join(map(str, place[:-1])) or "the configuration"
        return f"unknown key {place[-1]!r} in {inside}{nearest(str(place[-1]), keys)}"
    if error["type"] == "literal_error":
        node = _node(whole, place)
        known = map(str, node.get("enum", node.get("propertyNames", {}).get("enum", [])))
        return f"{where}: unknown value {error['input']!r}{nearest(str(error['input']), known)}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{where} is missing; config/config.yaml has every key with its default"
    if error["type"] == "string_pattern_mismatch":
        expected = _node(whole, place).get("description", "letters, digits and underscores")
        return f"{where} is {error['input']!r}: expected {expected}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{where or 'value'} is {error['input']!r}: {message}"


def _node(whole: dict[str, Any], place: Iterable[Any]) -> dict[str, Any]:
    """The part of a schema that describes the value at a place."""
    node = _resolve(whole, whole)
    for part in place:
        if isinstance(part, int):
            node = node.get("items", node)
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        elif named := _named(node):
            # a dictionary's own key may be what is wrong
            node = named | {"propertyNames": node.get("propertyNames", {})}
        node = _resolve(whole, node)
    return node


def _resolve(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the schema."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        referred: dict[str, Any] = whole["$defs"][node["$ref"].rpartition("/")[2]]
        return referred | rest
    return node


def _named(node: dict[str, Any]) -> dict[str, Any]:
    """What a dictionary with names of one's own holds under each of them, or {}."""
    values = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return next((value for value in values if isinstance(value, dict)), {})


def _keys(whole: dict[str, Any], node: dict[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    """Key, type, default and meaning of everything below a node of the schema."""
    for key, raw in node["properties"].items():
        value = _resolve(whole, raw)
        name, below = f"{prefix}{key}", value
        if named := _named(value):
            name, below = f"{name}.<name>", _resolve(whole, named)
        meaning = raw.get("description", "")
        if "properties" in below:
            yield (name, "section", "", meaning)
            yield from _keys(whole, below, f"{name}.")
        else:
            default = "" if "default" not in value else f"`{value['default']}`"
            yield (name, _kind(whole, below), default, meaning)


def _kind(whole: dict[str, Any], node: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    node = _resolve(whole, node)
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(_kind(whole, option) for option in node["anyOf"])
    if node.get("type") == "array":
        inner = node.get("items") or (node.get("prefixItems") or [{}])[0]
        return f"list of {_kind(whole, inner)}"
    return str(node.get("type", "any"))
