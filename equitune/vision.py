"""torchvision, imported so that it works beside a CPU-only torch too; knows no model, no image.

PyPI's torchvision is built for CUDA. Beside a CPU build of torch its compiled operators do not
load, and importing it, or a transformers model while it is installed, ends with "operator
torchvision::nms does not exist". Models, transforms and data sets need none of these operators.
"""

import contextlib
import importlib
import sys
from types import ModuleType

import torch

from equitune.extras import extra

MISSING_OPERATOR = "operator torchvision::nms does not exist"
# what the import asks for by name before it gives the operators their shapes
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_declared: list[torch.library.Library] = []  # declarations end with their object


def import_torchvision() -> ModuleType:
    """Return torchvision; call this before anything else imports it, transformers included.

    Where the plain import works, nothing is changed. Where the compiled operators are missing they
    are declared, so that all works that does not run one (``torchvision.ops.nms`` would).

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    try:
        with extra("image"):
            return importlib.import_module("torchvision")
    except RuntimeError as error:
        if str(error) != MISSING_OPERATOR or _declared:
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half of it was imported
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return import_torchvision()


def import_transformers() -> ModuleType:
    """Return transformers; call this before anything else imports it.

    Its models import torchvision where that is installed, so that has to be importable first.

    Raises:
        ModuleNotFoundError: transformers is not installed.
    """
    with contextlib.suppress(ModuleNotFoundError):  # it does without torchvision
        import_torchvision()
    with extra("language"):
        return importlib.import_module("transformers")
