"""What a run of the workflow consists of: files and arguments, worked out from the configuration.

The rules in workflow/rules ask here; nothing here needs Snakemake or torch.
"""

from equitune.plan.braces import braces
from equitune.plan.code import Code
from equitune.plan.commands import (
    EQUITUNE,
    LAUNCHER,
    PYTHON,
    Commands,
    as_text,
    changed,
    escaped,
    how,
    option,
)
from equitune.plan.image import ImagePlan
from equitune.plan.language import LanguagePlan
from equitune.plan.registry import Registry
from equitune.plan.scan import ScanPlan
from equitune.plan.wheels import Wheels

__all__ = [
    "EQUITUNE",
    "LAUNCHER",
    "PYTHON",
    "Code",
    "Commands",
    "ImagePlan",
    "LanguagePlan",
    "Registry",
    "ScanPlan",
    "Wheels",
    "as_text",
    "braces",
    "changed",
    "escaped",
    "how",
    "option",
]
