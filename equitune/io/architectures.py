"""Names of the image models that installed packages build, read from their files: none is imported.

A mistyped architecture is so found in milliseconds, where the configuration is read.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from equitune.io.names import nearest

WEIGHTS = (".pt", ".pth", ".safetensors")  # suffixes of files of weights
TIMM = "timm:"  # in front of the name of a model of timm
OWN = ("efficientnet_lite0",)  # built here
WELL_KNOWN = ("alexnet", "resnet18", "vgg11_bn", "densenet121")  # those of the paper
# a builder, behind the decorator that registers it and others
BUILDER = re.compile(r"^@register_model(?:\(\))?\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def known(package: str) -> frozenset[str]:
    """Return the builders of "torchvision" or "timm"; none where it is not installed."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return frozenset()
    files = sorted(Path(spec.origin).with_name("models").glob("*.py"))
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    return frozenset(name for text in texts for name in BUILDER.findall(text))


def builders(architecture: str) -> list[str]:
    """Return what could have been meant by an architecture, as the configuration writes it.

    Nothing where its package is not installed here: another environment may have it.
    """
    if architecture.startswith(TIMM):
        return [f"{TIMM}{name}" for name in sorted(known("timm"))]
    names = sorted(known("torchvision"))
    return [*names, *OWN] if names else []


def fault_of(architecture: str) -> str:
    """Return what is wrong with the name of an architecture, "" for nothing.

    timm's names may end in those of their weights: "timm:resnet18.a1_in1k".
    """
    names = builders(architecture)
    if architecture.startswith(TIMM):
        if not names and known("torchvision"):  # where jobs run, not where they are sent from
            return f"{architecture!r} needs timm: pip install timm, or name a model of torchvision"
        architecture = architecture.partition(".")[0]
    return unknown(architecture, names) if names and architecture not in names else ""


def unknown(architecture: str, names: Sequence[str]) -> str:
    """Return the line about an unknown architecture: the nearest names, or those of the paper."""
    hint = nearest(architecture, names)
    if not hint.startswith("; did you mean"):  # there are too many to list
        hint = nearest(architecture, WELL_KNOWN) + ", or another classifier of torchvision or timm"
    return f"unknown architecture {architecture!r}{hint}"
