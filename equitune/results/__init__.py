"""Tables and figures of all experiments; knows no model, only rows of numbers."""

from equitune.extras import require

require("workflow", "matplotlib", "pandas", "pydantic", "scipy", "typer")
