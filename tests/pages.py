"""The pages of README and docs/ as Markdown tokens, for the tests of docs/."""

from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "config/README.md", ROOT / "results/README.md"]  # pages of the site too


class Block(NamedTuple):
    """A block of code, fenced or indented.

    Attributes:
        language: what stands behind the fence, "" if nothing does.
        text: the code.
        line: the line of the page on which it begins, from 1.
    """

    language: str
    text: str
    line: int


def name(page):
    """The page's path below the project's root, to name its tests by."""
    return str(page.relative_to(ROOT))


def tokens(page):
    """The page as markdown-it's tokens."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page):
    """The page's blocks of code, in order."""
    return [
        Block(token.info.strip(), token.content, token.map[0] + 2)
        for token in tokens(page)
        if token.type in ("fence", "code_block")
    ]


def inline(page, kind):
    """The page's tokens of a kind inside its paragraphs, tables and headings."""
    return [
        child
        for token in tokens(page)
        if token.type == "inline"
        for child in token.children
        if child.type == kind
    ]
