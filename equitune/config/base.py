"""What the sections of the configuration share: strictness, descriptions, training runs, names."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from equitune.methods import names

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
# Snakemake takes {this} in a path for a wildcard, and no command takes a NUL
Place = Annotated[
    str, Field(pattern=r"^[^\x00{}]*$", description="a path, URL or name without braces")
]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]  # what every generator takes

IDENTITY = "identity"  # the group of methods that use none
GROUPLESS = names(moves=False)  # those methods
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def about(text: str, **limits: Any) -> Any:
    """Describe a key, and bound its value."""
    return Field(description=text, **limits)


@dataclass(config=STRICT, frozen=True)
class Adapter:
    """LoRA: a few weights are trained beside those of the model, which stay."""

    rank: Annotated[int, about("of the matrices that are added to a layer's", ge=1, le=4096)]
    targets: Annotated[
        Literal["all-linear"] | list[str],
        about("names of layers, or their ends, as q_proj; all-linear: all but a language head"),
    ] = "all-linear"


@dataclass(config=STRICT, frozen=True)
class Training:
    """One training run: optimizer, schedule, intervals."""

    steps: Annotated[int, about("optimizer steps", ge=0)]
    batch_size: Annotated[int, about("examples in a step, of all ranks together", ge=1)]
    learning_rate: Annotated[float, about("the highest learning rate of the schedule", gt=0)]
    schedule: Annotated[
        Literal["one_cycle", "cosine", "constant"], about("how the learning rate moves")
    ] = "one_cycle"
    warmup: Annotated[
        float, about("share of the steps in which one_cycle's rate rises", ge=0, le=1)
    ] = 0.1
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], about("how weights are updated")] = "adam"
    betas: Annotated[tuple[Share, Share], about("decay rates of Adam's two moments")] = (0.9, 0.98)
    momentum: Annotated[float, about("of sgd", ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, about("L2 penalty; decoupled with adamw", ge=0)] = 0.0
    gradient_clip: Annotated[float, about("largest gradient norm; 0: no limit", ge=0)] = 1.0
    accumulate: Annotated[
        int,
        about("parts in which each rank computes a step, one after the other; bounds memory", ge=1),
    ] = 1
    validate_every: Annotated[int, about("steps between validations; 0: only at the end", ge=0)] = 0
    patience: Annotated[
        int, about("stop after this many validations without a better one; 0: never", ge=0)
    ] = 0
    adapter: Annotated[Adapter | None, about("LoRA; null: the weights themselves are trained")] = (
        None
    )
    shard: Annotated[
        bool,
        about("each of several ranks keeps a part of weights, gradients and optimizer (FSDP2)"),
    ] = False
    save_seconds: Annotated[
        float, about("seconds between saves of the state; at first an eighth, then doubled", ge=0)
    ] = 30.0


def repeated(values: Iterable[Any]) -> list[Any]:
    """The values that stand there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
