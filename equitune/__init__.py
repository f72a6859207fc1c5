"""Any pretrained PyTorch model made exactly group-equivariant, and then fine-tuned.

The names below are the public API. They are imported when they are first used, so that steps that
need no torch start without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from equitune.compat import repair_torchvision

if TYPE_CHECKING:
    from equitune import actions
    from equitune.actions import check_action
    from equitune.canonical import Canonical
    from equitune.combine import Blend, Mean, Select, Weighted
    from equitune.distillation import distill, distillation_distance
    from equitune.equivariance import (
        assert_equivariant,
        equivariance_error,
        equivariance_report,
    )
    from equitune.exporting.export import export
    from equitune.gain import expected_gain
    from equitune.groups import (
        CyclicGroup,
        DihedralGroup,
        FiniteGroup,
        ProductGroup,
        SymmetricGroup,
    )
    from equitune.symmetrize import EquiTuned

repair_torchvision()  # torchvision, timm, transformers and PEFT import in any order from here on

__version__ = "0.1.0"

__all__ = [
    "Blend",
    "Canonical",
    "CyclicGroup",
    "DihedralGroup",
    "EquiTuned",
    "FiniteGroup",
    "Mean",
    "ProductGroup",
    "Select",
    "SymmetricGroup",
    "Weighted",
    "actions",
    "assert_equivariant",
    "check_action",
    "distill",
    "distillation_distance",
    "equivariance_error",
    "equivariance_report",
    "expected_gain",
    "export",
]

_HOMES = {
    "groups": ("CyclicGroup", "DihedralGroup", "FiniteGroup", "ProductGroup", "SymmetricGroup"),
    "actions": ("check_action",),
    "combine": ("Blend", "Mean", "Select", "Weighted"),
    "canonical": ("Canonical",),
    "symmetrize": ("EquiTuned",),
    "equivariance": ("assert_equivariant", "equivariance_error", "equivariance_report"),
    "distillation": ("distill", "distillation_distance"),
    "exporting.export": ("export",),
    "gain": ("expected_gain",),
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name == "actions":
        return importlib.import_module("equitune.actions")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"equitune.{module}"), name)
    raise AttributeError(f"module 'equitune' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
