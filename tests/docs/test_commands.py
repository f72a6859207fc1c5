"""Every command that a page shows exists, with the options and targets it is given."""

import re
import shlex
import subprocess
import sys

import pages
import pytest
import typer
from snakemake.cli import get_argument_parser
from typer.exceptions import TyperException

from equitune.cli import app

OWN = {"my.yaml", "mine.yaml"}  # what a reader is told to write
OTHERS = {"cd", "cp", "git", "ln", "ls", "mkdir", "pip", "python", "source", "tar", "export"}


@pytest.fixture(scope="session")
def rules(root):
    """The names of the workflow's rules."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list-rules", "--snakefile", str(root / "Snakefile")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stdout.split())


def commands(page):
    """The commands in a page's blocks, as lists of words."""
    for block in pages.blocks(page):
        if block.language in ("bash", "sh", "console", ""):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words = words[1:]  # the environment
                if words:
                    yield words


def mentions(page):
    """The commands in a page's sentences and tables, as lists of words."""
    for token in pages.inline(page, "code_inline"):
        words = token.content.split()
        if words[0] in ("equitune", "snakemake", "make") and len(words) > 1:
            yield words


def harmless(command):
    """A command, or a whole tree of them, that reads its options and does nothing."""
    command.callback = None
    for inner in getattr(command, "commands", {}).values():
        harmless(inner)
    return command


def check_equitune(words, *, whole):
    """Let a whole command's parser read its options; of a mentioned one the names are enough."""
    command = harmless(typer.main.get_command(app))
    if whole:
        command.main(list(words), prog_name="equitune", standalone_mode=False)
        return
    for word in words:
        if not hasattr(command, "commands") or not re.fullmatch(r"[a-z][\w-]*", word):
            break
        assert word in command.commands, f"no command {word!r} in equitune {' '.join(words)}"
        command = command.commands[word]


def check_snakemake(words, rules, root):
    """Let Snakemake's own parser read the options; targets are rules or files that one makes."""
    parsed = get_argument_parser().parse_args(words)
    for target in parsed.targets:
        assert target in rules or target.startswith("results/"), f"no rule {target!r}"
    for file in parsed.configfile or []:
        assert (root / file).is_file() or file.name in OWN, f"no configuration {file}"


def check(words, rules, root, *, whole):
    """Check one command."""
    name, *arguments = words
    if name == "equitune":
        check_equitune(arguments, whole=whole)
    elif name == "snakemake":
        check_snakemake(arguments, rules, root)
    elif name == "make":
        makefile = (root / "Makefile").read_text()
        for target in (word for word in arguments if "=" not in word):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target!r}"
    else:
        assert name in OTHERS or (root / name).exists(), f"unknown command {name!r}"


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_commands_exist(page, rules, root):
    for words in commands(page):
        check(words, rules, root, whole=True)
    for words in mentions(page):
        check(words, rules, root, whole=False)


@pytest.mark.parametrize(
    "text",
    [
        "equitune scan splitt",
        "equitune scan split add_jump --train a --test b --sauce grammar",
        "snakemake --cores 2 imagee",
        "snakemake --coers 2",
        "snakemake image --configfile config/none.yaml",
        "make tset",
        "equitun --help",
    ],
)
def test_a_wrong_command_is_found(text, rules, root):
    with pytest.raises((AssertionError, TyperException, SystemExit)):
        check(text.split(), rules, root, whole=True)
