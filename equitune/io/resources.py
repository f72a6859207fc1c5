"""Where the small facts of resources/ stand, and the configuration of the default run."""

from pathlib import Path

# a wheel carries the folder inside the package (pyproject.toml), a checkout has it beside
_PACKAGE = Path(__file__).resolve().parents[1]
_INSIDE = _PACKAGE / "_resources"
RESOURCES = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent / "resources"
DEFAULTS = (
    RESOURCES / "config.yaml" if RESOURCES == _INSIDE else RESOURCES.parent / "config/config.yaml"
)
