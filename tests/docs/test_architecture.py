"""The layers of docs/architecture.md: imports go down, and never in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

# from the top down; a module imports from its own line and from those below
LAYERS = (
    ("__main__",),
    (
        "cli",
        "options",
        "failures",
        "scan.cli",
        "image.cli",
        "language.cli",
        "language.text_cli",
        "results.cli",
    ),
    ("plan",),
    ("scan", "image", "language"),
    ("results",),
    (
        "exporting",
        "distillation",
        "gain",
        "equivariance",
        "symmetrize",
        "passing",
        "adapters",
        "additive",
        "canonical",
        "combine",
        "copies",
        "trees",
        "signature",
        "diagnosis",
        "saving",
        "actions",
    ),
    ("groups",),
    ("run", "config"),
    ("io",),
    ("compat", "methods", ""),
)
APART = ("scan", "image", "language")  # none imports another


@pytest.fixture(scope="module")
def imports(root):
    """Which modules of the package each one imports, inside functions too; not for types alone."""
    files = {}
    for file in sorted((root / "equitune").rglob("*.py")):
        name = ".".join(file.relative_to(root / "equitune").with_suffix("").parts)
        files[name.removesuffix("__init__").removesuffix(".")] = file
    return {
        name: {each for each in found(ast.parse(file.read_text("utf-8")), files) if each != name}
        for name, file in files.items()
    }


def found(tree, known):
    """Yield the modules of the package that code imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "equitune":
            for alias in node.names:  # a name in a package may be a module
                inner = f"{node.module}.{alias.name}".removeprefix("equitune.")
                yield inner if inner in known else inner.rpartition(".")[0]
        else:
            yield from found(node, known)


def layer(module):
    """The place of a module, counted from the top; the longest name decides."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for place, names in enumerate(LAYERS):
            if ".".join(parts[:length]) in names:
                return place
    raise AssertionError(f"{module} stands in no layer: add its room to LAYERS")


def test_no_module_imports_itself_in_a_circle(imports):
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' → '.join(error.args[1])}")


def test_imports_go_down(imports):
    for a, targets in imports.items():
        for b in targets:
            assert layer(a) <= layer(b), f"{a} imports {b}, which stands above it"


def test_no_experiment_imports_another(imports):
    for a, targets in imports.items():
        for b in targets:
            rooms = a.split(".")[0], b.split(".")[0]
            assert len({*rooms} & {*APART}) < 2, f"{a} imports {b}"


def test_imports_inside_functions_count_and_those_for_types_do_not(imports):
    assert "scan.experiment" in imports["scan.cli"]
    assert imports[""] == {"compat"}  # names at first use, and for types
