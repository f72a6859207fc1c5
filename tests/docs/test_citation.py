"""What others cite and what has changed: well-formed, and of this version."""

import re
import tomllib

import yaml

import equitune


def test_citation_has_what_the_format_asks_for(root):
    cited = yaml.safe_load((root / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == equitune.__version__
    assert cited["license"] == "MIT"
    assert cited["type"] == "software"
    papers = [cited["preferred-citation"], *cited["references"]]
    for work in (cited, *papers):
        assert {"title", "authors"} <= work.keys()
        for author in work["authors"]:
            assert "name" in author or {"family-names", "given-names"} <= author.keys()
    for paper in papers:
        assert paper["conference"]["name"]
        assert re.fullmatch(r"arXiv:\d{4}\.\d{5}", paper["identifiers"][0]["value"])
    assert cited["preferred-citation"]["title"].startswith("Equi-Tuning")


def test_changelog_keeps_its_form(root):
    text = (root / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)
    assert heads[0] == ("Unreleased", "")
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) and date for version, date in heads[1:])
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_licence_is_the_same_everywhere(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert (root / "LICENSE").read_text().startswith("MIT License")
