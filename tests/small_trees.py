"""A model with several outputs, their actions, and the plain loop over g."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch
from torch import nn

from equitune.actions import Rotate90, Trivial

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)
Pair = namedtuple("Pair", "mask logits")


@dataclass
class Result:
    mask: torch.Tensor
    logits: torch.Tensor
    hidden: torch.Tensor
    note: str | None = None


class Heads(nn.Module):
    """A mask that turns, logits that stay, and what has no action, in a container of choice."""

    def __init__(self, kind="dict"):
        super().__init__()
        self.mask, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(2 * 25, 4)
        self.kind, self.calls = kind, 0

    def forward(self, x, shift=None, scale=1.0, flag=False):
        self.calls += 1
        mask, logits = self.mask(x).tanh() * scale, self.head(x.flatten(1)).tanh()
        if shift is not None:
            logits = logits + shift
        match self.kind:
            case "tuple":
                return mask, logits
            case "list":
                return [mask, [logits]]
            case "named":
                return Pair(mask, logits)
            case "dataclass":
                return Result(mask, logits, x)
            case "ordered":
                return OrderedDict(mask=mask, logits=logits, hidden=[x])
        return {"mask": mask, "logits": logits, "hidden": x}


TREES = {
    "tuple": (ROTATE, KEEP),
    "list": [ROTATE, [KEEP]],
    "named": (ROTATE, KEEP),
    "dataclass": {"mask": ROTATE, "logits": KEEP},
    "ordered": {"mask": ROTATE, "logits": KEEP},
    "dict": {"logits": KEEP, "mask": ROTATE},
}


def entries(y):
    """Mask and logits, of any of the containers."""
    if isinstance(y, dict):
        return y["mask"], y["logits"]
    if isinstance(y, Result):
        return y.mask, y.logits
    return y[0], (y[1][0] if isinstance(y[1], list) else y[1])


def loop(module, x, *others):
    """1/|G| Σ_g g⁻¹ M(gx) of both outputs."""
    outputs = [entries(module(ROTATE(g, x), *others)) for g in range(4)]
    mask = sum(ROTATE.inverse(g, y[0]) for g, y in enumerate(outputs)) / 4
    return mask, sum(y[1] for y in outputs) / 4


def images(count=3):
    return torch.randn(count, 2, 5, 5, dtype=torch.float64)


def same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
