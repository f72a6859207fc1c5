"""Packages that only a part of equitune needs; knows which extra has them, and no package."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


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
