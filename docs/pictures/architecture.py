"""Draws docs/pictures/architecture.svg: the floors of the package, from its imports; imports none.

Run it after a module was added or moved: python docs/pictures/architecture.py
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from equitune.results.style import METHODS, look

ROOT = Path(__file__).resolve().parents[2]
PICTURE = Path(__file__).with_suffix(".svg")

# from the roof down; a top-level module that no floor names is a service
FLOORS = {
    "command": ("__main__", "cli", "options"),  # and the cli of each folder
    "experiments": ("scan", "image", "language"),
    "results": ("results",),
    "training": ("training", "runs", "memory"),
    "core": (
        "groups",
        "differences",
        "actions",
        "copies",
        "rows",
        "combine",
        "symmetrize",
        "passes",
        "cause",
        "verdict",
        "equivariance",
        "gain",
        "pretrained",
        "values",
    ),
    "services": (),
}
MOTTOS = {
    "command": "arguments to calls",
    "experiments": "data, models, training, evaluation; none knows another",
    "results": "tables and figures; no torch",
    "training": "one loop, resumable; of the core only how many copies pass at once",
    "core": "mathematics on tensors; no experiment, no Snakemake",
    "services": "settings, files, downloads, devices; no group, no experiment",
}
HUES = ("plain", "finetune", "equizero", "equitune_augment", "equitune", "lambda_equitune")
COLOURS = {name: METHODS[method][1] for name, method in zip(FLOORS, HUES, strict=True)}
WIDTH, LINE, GAP = 6.9, 0.21, 0.34  # inches: of a floor, of a line of text, between floors
LETTERS = 92  # in a line


def modules() -> dict[str, Path]:
    """Return the file of every module of the package, by name."""
    files = sorted((ROOT / "equitune").rglob("*.py"))
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


def imports() -> dict[str, set[str]]:
    """Return which modules of the package each one imports, inside functions too."""
    known = modules()
    return {
        name: {
            found
            for found in _imported(ast.parse(file.read_text(encoding="utf-8")), known)
            if found != name
        }
        for name, file in known.items()
    }


def floor(module: str) -> str:
    """Return the floor of a module; the commands of an experiment belong to the command."""
    if module.endswith(".cli"):
        return "command"
    room = _room(module)
    return next((name for name, rooms in FLOORS.items() if room in rooms), "services")


def arrows() -> set[tuple[str, str]]:
    """Return the pairs of different floors of which the first imports the second."""
    pairs = {(floor(a), floor(b)) for a, found in imports().items() for b in found}
    return {(a, b) for a, b in pairs if a != b}


def draw() -> Figure:
    """Draw the floors with what stands on each, and an arrow for each import across floors."""
    texts = {name: _lines(name) for name in FLOORS}
    heights = {name: LINE * (len(lines) + 1) + 0.24 for name, lines in texts.items()}
    size = (WIDTH + 1.5, sum(heights.values()) + GAP * len(FLOORS))
    with look():
        figure = Figure(figsize=size)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
        axes.axis("off")
        tops, top = {}, size[1] - GAP / 2
        for name, lines in texts.items():
            tops[name] = top
            _floor(axes, name, top, heights[name], lines)
            top -= heights[name] + GAP
        _arrows(axes, tops, heights)
    return figure


def main(path: Path = PICTURE) -> None:
    """Write the picture, the same bytes on every drawing."""
    with look():
        draw().savefig(path, metadata={"Date": None, "Creator": None})


def _imported(tree: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that code imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # a name in a package may be a module
                inner = f"{node.module}.{alias.name}"
                if (
                    found := inner
                    if inner in known
                    else node.module
                    if node.module in known
                    else ""
                ):
                    yield found
        else:
            yield from _imported(node, known)


def _room(module: str) -> str:
    """Return the module or folder of the package that a module belongs to."""
    return module.split(".")[1] if "." in module else module


def _lines(name: str) -> list[str]:
    """Return what stands on a floor: its modules, or a line for each folder that is a floor."""
    here = [m.removeprefix("equitune.") for m in modules() if "." in m and floor(m) == name]
    if name in ("experiments", "results"):
        texts = []
        for room in FLOORS[name]:
            inside = (m.split(".")[1] for m in here if m.startswith(f"{room}."))
            texts.append(f"{room}: " * (room != name) + " · ".join(dict.fromkeys(inside)))
    else:
        rooms = (m if name == "command" else m.split(".")[0] for m in here)
        texts = [" · ".join(dict.fromkeys(rooms))]
    return [line for text in texts for line in wrap(text, LETTERS, subsequent_indent="    ")]


def _floor(axes: Axes, name: str, top: float, height: float, lines: list[str]) -> None:
    box = FancyBboxPatch(
        (0.2, top - height),
        WIDTH - 0.2,
        height,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=COLOURS[name] + "22",
        edgecolor=COLOURS[name],
    )
    axes.add_patch(box)
    axes.text(0.32, top - 0.2, name, weight="bold", va="center")
    axes.text(WIDTH - 0.12, top - 0.2, MOTTOS[name], va="center", ha="right", color="#555555")
    for place, line in enumerate(lines, 1):
        axes.text(0.32, top - 0.22 - LINE * place, line, va="center")


def _arrows(axes: Axes, tops: dict[str, float], heights: dict[str, float]) -> None:
    """Arrows between neighbours go straight; the others go round the side, each in a lane."""
    order = list(FLOORS)
    lanes = {name: 0 for name in order}  # arrows that end at each floor's side
    places = sorted((order.index(a), order.index(b)) for a, b in arrows())
    places.sort(key=lambda pair: pair[1] - pair[0])  # the longest outside
    x = WIDTH + 0.2
    for i, j in places:
        a, b = order[i], order[j]
        if j - i == 1:
            points = [(1.0, tops[a] - heights[a]), (1.0, tops[b])]
        else:
            x, end = x + 0.12, tops[b] - 0.14 - 0.13 * lanes[b]
            points = [(WIDTH, tops[a] - 0.3), (x, tops[a] - 0.3), (x, end), (WIDTH, end)]
            lanes[b] += 1
        axes.plot(*zip(*points, strict=True), color=COLOURS[a], linewidth=1.2)
        axes.annotate(
            "",
            points[-1],
            points[-2],
            arrowprops={
                "arrowstyle": "-|>",
                "color": COLOURS[a],
                "linewidth": 1.2,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


if __name__ == "__main__":
    main()
