"""Tables and figures of all experiments."""

from equitune.compat import require

require("workflow", "matplotlib", "pandas", "pydantic", "scipy", "typer")
