"""Options that take settings take the names that the configuration has for them, too."""

from pathlib import Path

import pytest
import yaml

from equitune.config import ImageSource, Permutation, RegardScorer
from equitune.io.resources import DEFAULTS
from equitune.options import beside, lexicons, settings, states

NAMED = {
    "language.scorers": RegardScorer,
    "image.sources": ImageSource,
    "scan.permutations": Permutation,
}


@pytest.mark.parametrize(("section", "kind"), NAMED.items(), ids=NAMED)
def test_a_name_stands_for_what_the_default_run_has_under_it(section, kind):
    part = yaml.safe_load(DEFAULTS.read_text())
    for key in section.split("."):
        part = part[key]
    assert len(part) >= 3
    for name, values in part.items():
        assert settings(kind, name, "--option", section) == kind(**values)


def test_settings_are_taken_as_before():
    assert settings(RegardScorer, "{kind: words}", "--scorer", "language.scorers").kind == "words"


def test_an_unknown_name_is_one_line():
    with pytest.raises(
        ValueError, match=r"--scorer: unknown name 'wrods' in language.scorers; did"
    ):
        settings(RegardScorer, "wrods", "--scorer", "language.scorers")
    with pytest.raises(ValueError, match="--training"):  # names mean nothing there
        settings(RegardScorer, "words", "--training")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("gender", {"gender": "gender_short"}),
        ("[gender, race]", {"gender": "gender_short", "race": "race"}),
        ("{gender: mine.yaml}", {"gender": "mine.yaml"}),
    ],
)
def test_axes_are_names_or_lexicons(text, read):
    assert lexicons(text) == read
    with pytest.raises(ValueError, match=r"--axes: unknown name 'gendr' in language.lexicons; did"):
        lexicons("gendr")


@pytest.mark.parametrize(
    ("folder", "output", "kept"),
    [
        (None, "results/scan/model.safetensors", "results/states"),
        (None, "/a/results/scan/model.safetensors", "/a/results/states"),
        (None, "mine/model.safetensors", None),
        (None, "results", None),
        ("mine", "results/scan/model.safetensors", "mine"),
        ("none", "results/scan/model.safetensors", None),
    ],
)
def test_what_is_written_in_results_keeps_its_state_there(folder, output, kept):
    assert states(folder and Path(folder), Path(output)) == (kept and Path(kept))


def test_a_further_file_stands_beside_the_output_or_where_it_is_told():
    assert beside(None, Path("cell/regard.csv"), "texts.csv") == Path("cell/texts.csv")
    assert beside(Path("mine.csv"), Path("cell/regard.csv"), "texts.csv") == Path("mine.csv")
