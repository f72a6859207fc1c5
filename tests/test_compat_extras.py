"""A package beyond the core is declared by an extra, and named with it where it is missing."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OWN_ADVICE = {"timm"}  # belongs to no extra: equitune.image.backbones says what to install
# a process in which some packages cannot be imported imports modules one by one
PROBE = """
import importlib, json, sys
modules, missing = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(missing))
said = {}
for module in modules:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        said[module] = [error.name, str(error)]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def declared(root):
    """The packages, as they are imported, of the core ("") and of each extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    names = {
        group: {canonicalize_name(Requirement(each).name) for each in requirements}
        for group, requirements in groups.items()
    }
    imported_as = packages_distributions().items()
    return {
        group: {
            package
            for package, distributions in imported_as
            if wanted & {canonicalize_name(each) for each in distributions}
        }
        for group, wanted in names.items()
    }


@pytest.fixture(scope="module")
def trees(root):
    """The syntax tree of each module, by name."""
    trees = {}
    for file in sorted((root / "equitune").rglob("*.py")):
        name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        trees[name] = ast.parse(file.read_text())
    return trees


def words(call):
    """The texts that a call is given."""
    return [each.value for each in call.args if isinstance(each, ast.Constant)]


def called(node, name):
    """Whether a node calls a function of that name."""
    if not isinstance(node, ast.Call):
        return False
    return name in (getattr(node.func, "id", None), getattr(node.func, "attr", None))


def imports(node, extra=None):
    """Yield each package imported below a node, with the extra it stands under, and its line."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], extra, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module.split(".")[0], extra, child.lineno
        elif called(child, "import_module"):
            yield from ((word.split(".")[0], extra, child.lineno) for word in words(child))
        within = extra
        if isinstance(child, ast.With) and called(child.items[0].context_expr, "extra"):
            within = next(iter(words(child.items[0].context_expr)), None)
        yield from imports(child, within)


def assured(name, trees):
    """The packages that are there when a module runs, with the extra that was asked to have them.

    The `__init__` of a folder above has required or imported them.
    """
    found = set()
    for folder in (tree for above, tree in trees.items() if name.startswith(f"{above}.")):
        for node in ast.walk(folder):
            if called(node, "require"):
                extra, *packages = words(node)
                found |= {(package, extra) for package in packages}
        found |= {(package, extra) for package, extra, _ in imports(folder) if extra}
    return found


def test_every_import_beyond_the_core_says_an_extra_that_declares_it(declared, trees):
    without = sys.stdlib_module_names | declared[""] | OWN_ADVICE | {"equitune"}
    seen = set()
    for name, tree in trees.items():
        there = assured(name, trees)
        for package, extra, line in imports(tree):
            if package in without:
                continue
            extras = {extra} if extra else {each for known, each in there if known == package}
            assert extras, f"{name}, line {line}: {package} stands under no `with extra(…)`"
            for each in extras:
                assert package in declared[each], f"{name}, line {line}: {package} is not in {each}"
            seen.add(package)
    assert {"PIL", "pandas", "transformers", "typer", "yaml"} <= seen


def test_what_is_required_for_a_folder_is_declared(declared, trees):
    for tree in trees.values():
        for node in ast.walk(tree):
            if called(node, "require"):
                extra, *packages = words(node)
                assert set(packages) <= declared[extra]


@pytest.fixture(scope="module")
def alone(declared, trees):
    """What each module says that cannot be imported with the core's packages alone."""
    beyond = set().union(*declared.values()) - declared[""]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([list(trees), sorted(beyond)])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_module_imports_or_names_an_extra(declared, alone):
    for name, (package, said) in alone.items():
        told = {
            extra
            for extra in declared
            if said == f"{package} is not installed: pip install 'equitune[{extra}]'"
        }
        assert told, f"{name} says: {said}"
        assert all(package in declared[extra] for extra in told), f"{name} says: {said}"


def test_the_core_needs_no_extra(alone):
    core = [
        "groups",
        "actions",
        "symmetrize",
        "equivariance",
        "saving.pretrained",
        "io.files",
        "compat",
    ]
    for name in ["equitune", *(f"equitune.{each}" for each in core)]:
        assert name not in alone
    assert {"equitune.cli", "equitune.results.tables", "equitune.language.models"} <= set(alone)


def test_the_command_says_in_a_line_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from equitune.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    advice = "equitune: error: typer is not installed: pip install 'equitune[workflow]'\n"
    assert (done.stdout, done.stderr) == ("", advice)


def test_a_command_without_its_extra_says_so(monkeypatch, capfd, tmp_path):
    from equitune.cli import run

    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "equitune.image.sources", raising=False)
    arguments = ["--source", "{kind: digits, size: 8}", "--name", "digits", "--seed", "0"]
    arguments += ["--validation-fraction", "0.1", "--output", str(tmp_path / "digits.safetensors")]
    assert run(["image", "dataset", *arguments]) == 1
    said = "equitune: error: PIL is not installed: pip install 'equitune[image]'\n"
    assert capfd.readouterr().err == said
