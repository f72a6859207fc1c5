"""What the pages show runs: Python with the output beside it, settings, examples of docstrings."""

import doctest
import sys
import types
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO

import pages
import pytest
import yaml

from equitune import config

OUTPUT = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run(page, monkeypatch):
    """Run a page's Python blocks one after the other; compare each with the output below it."""
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # where classes of the page are looked for
    printed = None
    for block in pages.blocks(page):
        if block.language == "python":
            # the page's own lines in a traceback
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            with redirect_stdout(StringIO()) as out:
                exec(code, vars(module))
            printed = out.getvalue()
        elif block.language == "output":
            assert printed is not None, f"{page.name}:{block.line}: an output of no code"
            assert OUTPUT.check_output(block.text, printed, FLAGS), (
                f"{page.name}:{block.line} shows\n{block.text}but the code printed\n{printed}"
            )


WITH_CODE = [p for p in pages.PAGES if any(b.language == "python" for b in pages.blocks(p))]
# they train for six to eleven seconds each
LONG = {"docs/scale.md", *(f"docs/tutorial_{name}.md" for name in ("images", "outputs", "scan"))}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if pages.name(page) in LONG else ())
        for page in WITH_CODE
    ],
    ids=pages.name,
)
def test_python_blocks_run_and_print_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page, monkeypatch)


def test_an_output_that_has_changed_is_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(2)\n```\n\n```output\n3\n```\n")
    with pytest.raises(AssertionError, match=r"page.md:6 shows"):
        run(page, monkeypatch)


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_yaml_blocks_are_overrides_of_the_configuration(page, root):
    for block in pages.blocks(page):
        shown = yaml.safe_load(block.text) if block.language == "yaml" else {}
        whole = yaml.safe_load((root / "config/config.yaml").read_text())
        if shown.keys() & whole.keys():  # else it is another file's, such as a profile's
            config.merge(whole, shown)
            config.load(whole)


# modules of the package with an example in a docstring
EXAMPLES = [
    ".".join(file.relative_to(pages.ROOT).with_suffix("").parts)
    for file in sorted((pages.ROOT / "equitune").rglob("*.py"))
    if ">>>" in file.read_text()
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_hold(name):
    results = doctest.testmod(import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
