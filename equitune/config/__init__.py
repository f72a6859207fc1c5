"""The configuration as dataclasses, the single source of its schema and docs.

`load` turns what YAML gave into a `Config` or into one line that says what is wrong;
`equitune config schema` and `equitune config docs` write the two files that describe the keys.
Each experiment's section is a module here, with what its keys do not show one by one in `problems`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from equitune.compat import extra

with extra("workflow"):  # for the modules here, too
    from pydantic import Field, TypeAdapter
    from pydantic.dataclasses import dataclass

from equitune.config import docs as _docs
from equitune.config import image as _image
from equitune.config import language_problems as _language
from equitune.config import scan as _scan
from equitune.config.base import GROUPLESS, IDENTITY, STRICT, Adapter, Place, Training, about
from equitune.config.image import IMAGE_METHODS, Image, ImageBuilder, ImageModel, ImageSource
from equitune.config.language import (
    CHOOSING,
    LANGUAGE_METHODS,
    MEASURED,
    REGARD_LABELS,
    TRAINED_SCORERS,
    Language,
    LanguageSource,
    LanguageTuning,
    ModelSettings,
    RegardScorer,
    Sampling,
    SmallGPT2,
    TextColumns,
)
from equitune.config.parse import parse
from equitune.config.scan import (
    SCAN_METHODS,
    ActionWord,
    CommandWord,
    Permutation,
    Scan,
    Seq2SeqModel,
)
from equitune.io.names import show
from equitune.run.determinism import Level

__all__ = [
    "CHOOSING",
    "GROUPLESS",
    "IDENTITY",
    "IMAGE_METHODS",
    "LANGUAGE_METHODS",
    "MEASURED",
    "REGARD_LABELS",
    "SCAN_METHODS",
    "TRAINED_SCORERS",
    "ActionWord",
    "Adapter",
    "CommandWord",
    "Config",
    "Image",
    "ImageBuilder",
    "ImageModel",
    "ImageSource",
    "Language",
    "LanguageSource",
    "LanguageTuning",
    "ModelSettings",
    "Permutation",
    "RegardScorer",
    "Retrieve",
    "Sampling",
    "Scan",
    "Seq2SeqModel",
    "SmallGPT2",
    "TextColumns",
    "Training",
    "docs",
    "load",
    "merge",
    "parse",
    "schema",
]

Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]


@dataclass(config=STRICT, frozen=True)
class Retrieve:
    """Where downloads are looked for."""

    mirror: Annotated[
        Place | None, about("folder or URL that is looked in before a file's own URL")
    ] = None


@dataclass(config=STRICT, frozen=True)
class Config:
    """Everything a run is decided by."""

    device: Annotated[Device, about("auto, cpu, cuda, cuda:N or mps")]
    determinism: Annotated[
        Level,
        about(
            "how far two runs agree: fast (statistically), seeded (all draws; on a CPU all bits), "
            "bitwise (all bits on a GPU too)"
        ),
    ]
    gpus_per_job: Annotated[
        int,
        about(
            "ranks that train one model on each node, each with a GPU, or with a core on a CPU",
            ge=1,
        ),
    ]
    retrieve: Annotated[Retrieve, about("downloads")]
    scan: Annotated[Scan, about("compositional generalization on SCAN")]
    image: Annotated[Image, about("image classification under rotations and flips")]
    language: Annotated[Language, about("group-theoretic fairness of language models")]


def load(mapping: Mapping[str, Any]) -> Config:
    """Check a configuration.

    Args:
        mapping: what the YAML files gave, merged.

    Raises:
        ValueError: one line with the first thing that is wrong and the nearest valid name.
    """
    for key in mapping:
        section, dot, inner = str(key).partition(".")
        if dot:
            nested = f"{inner.replace('.', ': {')}: VALUE{'}' * (inner.count('.') + 1)}"
            raise ValueError(
                f"config: unknown key {show(key)}: write what is inside a section in braces, as "
                f"--config '{section}={{{nested}'"
            )
    config: Config = parse(Config, mapping)
    if config.gpus_per_job > 1 and ":" in config.device:
        raise ValueError(
            f"config: gpus_per_job is {config.gpus_per_job} with device {config.device}, which is "
            "one GPU: set device: cuda or auto"
        )
    for problem in _scan.problems(config.scan):
        raise ValueError(f"config: scan.{problem}")
    for problem in _image.problems(config.image):
        raise ValueError(f"config: image.{problem}")
    for problem in _language.problems(config.language):
        raise ValueError(f"config: language.{problem}")
    return config


def merge(base: dict[str, Any], override: Mapping[str, Any]) -> None:
    """Lay one configuration over another, in place: sections key by key, all else replaced."""
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value


def difference(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `merge` has to lay over one configuration so that it becomes another."""
    found: dict[str, Any] = {}
    for key, value in changed.items():
        if key in base and isinstance(value, Mapping) and isinstance(base[key], Mapping):
            if inner := difference(base[key], value):
                found[key] = inner
        elif key not in base or value != base[key]:
            found[key] = value
    return found


def schema() -> dict[str, Any]:
    """The configuration's JSON schema."""
    return TypeAdapter(Config).json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "equitune configuration",
    }


def docs() -> str:
    """Every key as a Markdown table: type, default, meaning."""
    return _docs.table(schema())
