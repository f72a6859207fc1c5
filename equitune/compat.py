"""Packages that only a part of equitune needs, and a repair of torchvision beside a CPU-only torch.

PyPI's torchvision is built for CUDA. Beside a CPU build of torch its compiled operators do not
load, and importing it, or a transformers or timm model while it is installed, ends with "operator
torchvision::nms does not exist". Models, transforms and data sets need none of these operators.
`import equitune` installs an import hook (`repair_torchvision`), so that torchvision, timm,
transformers and PEFT can be imported in any order afterwards. Imports no package itself.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any

MISSING_OPERATOR = "operator torchvision::nms does not exist"
# what the import asks for by name before it gives the operators their shapes
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_declared: list[Any] = []  # torch.library.Library: declarations end with their object


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra to install, where an import inside finds its package missing.

    Args:
        name: an extra of pyproject.toml that has all packages imported inside.

    Raises:
        ModuleNotFoundError: one is missing; the line says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install 'equitune[{name}]'", name=error.name
        ) from error


def require(name: str, *packages: str) -> None:
    """Say which extra to install, where one of these packages is missing; none is imported.

    It stands in a folder's `__init__`, for all modules there.

    Args:
        name: an extra of pyproject.toml that has all of them.
        packages: as they are imported.

    Raises:
        ModuleNotFoundError: one is missing; the line says what to install.
    """
    with extra(name):
        for package in packages:
            if find_spec(package) is None:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def repair_torchvision() -> None:
    """Let later imports of torchvision succeed beside a CPU-only torch too.

    Where the plain import works, nothing changes. Where the compiled operators are missing they are
    declared, so that everything works that does not run one (``torchvision.ops.nms`` would).
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds torchvision where it stands, and loads it with `_Loader`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == "torchvision" else None
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Runs torchvision, a second time with its operators declared where they are missing."""

    def exec_module(self, module: ModuleType) -> None:
        try:
            return super().exec_module(module)
        except RuntimeError as error:
            if str(error) != MISSING_OPERATOR or _declared:
                raise
        for name in [name for name in sys.modules if name.startswith("torchvision.")]:
            del sys.modules[name]  # half of it was imported
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for schema in SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
        return super().exec_module(module)
