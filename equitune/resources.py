"""Where the small facts of resources/ stand; knows none of them."""

from pathlib import Path

# a wheel carries the folder inside the package (pyproject.toml), a checkout has it beside
_INSIDE = Path(__file__).resolve().with_name("_resources")
RESOURCES = _INSIDE if _INSIDE.is_dir() else _INSIDE.parents[1] / "resources"
