"""The hash of a command's code changes with what the command imports, and with nothing else."""

import re

import pytest

from equitune.plan import how
from equitune.plan.code import Code

PAIR = re.compile(r'CODE\.of\(\s*"([^"]+)|COMMANDS\.(?:run|compute|train)\(\s*"([^"]+)')
FILES = {
    "__init__.py": "",
    "scan/__init__.py": "",
    "scan/cli.py": '''
"""Commands."""
from equitune.options import build
from equitune.words import unused

def tune():
    """Tune."""
    from equitune.scan.experiment import train
    return build(train())

def split():
    from equitune.scan.grammar import lines
    return lines()
''',
    "scan/experiment.py": "from equitune.parts import Model\ndef train():\n    return Model\n",
    "scan/grammar.py": "def lines():\n    return 1\n",
    "parts/__init__.py": """
from equitune.parts.model import Model
from equitune.parts.other import O
""",
    "parts/model.py": "class Model:\n    pass\n",
    "parts/other.py": "O = 1\n",
    "options.py": "if TYPE_CHECKING:\n    from equitune.parts import O\n",
    "words.py": "unused = 1\n",
    "methods.py": "METHODS = 1\n",
}


@pytest.fixture
def package(tmp_path):
    """A small package of that name."""
    folder = tmp_path / "equitune"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_command_has_the_modules_that_it_imports_and_no_other(package):
    code = Code(package=package)
    assert code.modules("scan tune --x") == ["options", "parts.model", "scan.experiment"]
    assert code.modules("scan split") == ["scan.grammar"]
    assert code.modules("scan split", ["words"]) == ["scan.grammar", "words"]


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("scan/experiment.py", ["tune"]),
        ("parts/model.py", ["tune"]),
        ("parts/other.py", []),  # a package hands it on beside what is used
        ("parts/__init__.py", []),
        ("options.py", ["tune"]),
        ("words.py", []),
        ("scan/grammar.py", ["split"]),
        ("methods.py", []),  # rules have what a method does in their params
    ],
)
def test_what_uses_a_changed_module_is_stale(package, tmp_path, file, stale):
    known = tmp_path / "code.json"
    before = Code(known, package)
    (package / file).write_text(f"{FILES[file]}\nNEW = 1\n")
    after = Code(known, package)  # what was read before is kept, but for that file
    assert [
        c for c in ("tune", "split") if before.of(f"scan {c}") != after.of(f"scan {c}")
    ] == stale


def test_comments_and_docstrings_change_nothing(package):
    before = Code(package=package).of("scan tune")
    place = package / "scan/experiment.py"
    place.write_text(f'"""A docstring."""\n# a comment\n{FILES["scan/experiment.py"]}')
    middle = Code(package=package).of("scan tune")
    place.write_text(f'"""Another."""\n\n\n{FILES["scan/experiment.py"]}')
    assert Code(package=package).of("scan tune") == middle
    assert before != middle  # one where there was none is a statement more


def test_the_function_of_a_command_counts(package):
    before = Code(package=package)
    place = package / "scan/cli.py"
    place.write_text(FILES["scan/cli.py"].replace("return lines()", "return 2"))
    after = Code(package=package)
    assert before.of("scan split") != after.of("scan split")
    assert before.of("scan tune") == after.of("scan tune")


def test_experiments_do_not_depend_on_each_other():
    code = Code()
    for name in ("scan", "image", "language"):
        others = {"scan", "image", "language"} - {name}
        rooms = {module.split(".")[0] for module in code.modules(f"{name} tune")}
        assert not rooms & others
        assert "actions" in rooms
    assert "run.loop" not in code.modules("results table")


def test_what_draws_a_figure_counts_and_its_record_does_not():
    found = Code().modules("results figure", ["results.figures.scan"])
    assert {"results.drawing", "results.figures.scan", "results.style"} <= {*found}
    assert not [name for name in found if name.startswith("results.catalogue")]


def test_each_rule_has_the_hash_of_its_command(root):
    """In its params, which Snakemake compares; the command is the next one below."""
    found = 0
    for file in (root / "workflow/rules").glob("*.smk"):
        pairs = PAIR.findall(file.read_text())
        assert len(pairs) % 2 == 0, file.name
        for (hashed, _), (_, command) in zip(pairs[::2], pairs[1::2], strict=True):
            words = command.split()
            assert hashed, f"{file.name}: no CODE.of before {command}"
            assert hashed.split() == words[: len(hashed.split())], f"{file.name}: {command}"
            found += 1
    assert found > 30


def test_methods_are_told_apart():
    assert how("equitune") != how("finetune")
