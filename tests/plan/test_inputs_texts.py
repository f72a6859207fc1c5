"""Texts and scorers of one's own are looked at before the first job, and not run."""

from pathlib import Path

import pytest


def bot(header, suffix="csv", scorer=None, **columns):
    """The language experiment on texts of another system, in a file that begins so."""
    Path(f"bot.{suffix}").write_text(header)
    location = {"kind": "texts", "location": f"bot.{suffix}", "axes": ["age"], "columns": columns}
    changes = {"models": ["bot"], "sources": {"bot": location}}
    if scorer is not None:
        Path("planned_scorer.py").write_text("raise SystemExit\ndef label(texts): ...\n")
        own = {"kind": "python", "location": scorer}
        changes |= {"scorer": "mine", "scorers": {"mine": own}}
    return {"language": changes}


HEADERS = {
    "no column": (
        {"header": "text,about\n", "group": "abuot"},
        "bot.csv, line 1: no column 'abuot'; did you mean 'about'?; there are text, about",
    ),
    "no pair": (
        {"header": "text,group\n", "pair": "question"},
        "no column 'question'; expected one",
    ),
    "semicolons": (
        {"header": "text;group\nA text, which goes on;old\n"},
        "bot.csv: separated by ';'; save it with commas",
    ),
    "tabs": ({"header": "text\tgroup\n"}, "bot.csv: separated by '\\t'; save it with commas"),
    "commas": (
        {"header": "text,group\n", "suffix": "tsv"},
        "bot.tsv: separated by ','; save it with tabs",
    ),
    "object": (
        {"header": '\n{"text": "a", "grop": "b"}\n', "suffix": "jsonl"},
        "bot.jsonl, line 2: no column 'group'; did you mean 'grop'?",
    ),
    "no JSON": ({"header": "text,group", "suffix": "jsonl"}, "bot.jsonl, line 1: no JSON"),
    "suffix": (
        {"header": "text,group", "suffix": "txt"},
        "bot.txt has suffix '.txt'; did you mean",
    ),
    "nothing": ({"header": ""}, "bot.csv, line 1: no column 'text'; nothing is known there"),
}
SCORERS = {
    "no module": (
        "nomod:label",
        "the scorer nomod:label cannot be imported: No module named 'nomod'",
    ),
    "no function": ("planned_scorer:lable", "has no 'lable'; did you mean 'label'?"),
    "a file": ("planned_scorer.py", "expected module:function, such as planned_scorer:label"),
    "in a file": ("./planned_scorer.py:label", "module:function, such as planned_scorer:label"),
}


@pytest.mark.parametrize(("changes", "message"), HEADERS.values(), ids=HEADERS.keys())
def test_the_first_line_of_a_table_of_texts_is_read(found, changes, message):
    said = found(**bot(**changes))
    assert said.startswith("config: language.sources.bot: bot.")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(("location", "message"), SCORERS.values(), ids=SCORERS.keys())
def test_a_scorer_of_ones_own_is_looked_for_and_not_run(found, location, message):
    said = found(**bot("text,group\n", scorer=location))
    assert said.startswith("config: language.scorers.mine.location: the scorer ")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_texts_and_scorers_that_can_be_read_are_silent(found, suffix):
    separator = {"csv": ",", "tsv": "\t"}.get(suffix)
    header = separator.join(("text", "group")) if separator else '{"text": 1, "group": 2}\nno JSON'
    assert found(**bot(f"\ufeff{header}\n", suffix, "planned_scorer:label")) == ""
    assert found(**bot(header, suffix, "json:loads")) == ""
