"""Every link of a page to a file or heading of the project leads somewhere."""

import re
from urllib.parse import unquote

import pages
import pytest


def anchors(page):
    """The headings of a page as they are linked to: small letters, blanks as hyphens."""
    found, after_heading = set(), False
    for token in pages.tokens(page):
        if after_heading:
            text = "".join(child.content for child in token.children)
            found.add(re.sub(r"[^\w -]", "", text.strip().lower()).replace(" ", "-"))
        after_heading = token.type == "heading_open"
    return found


def targets(page):
    """What a page links to and shows, external addresses left out."""
    links = [unquote(token.attrs["href"]) for token in pages.inline(page, "link_open")]
    links += [token.attrs["src"] for token in pages.inline(page, "image")]
    return [link for link in links if not re.match(r"\w+:", link)]


def broken(page):
    """The links of a page that lead nowhere."""
    for link in targets(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_links_lead_somewhere(page):
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A head\n\n[a](#a-head) [b](#b) [c](page.md#a-head) [d](none.md) ![e](e.svg)\n"
    )
    assert list(broken(page)) == ["#b", "none.md", "e.svg"]
