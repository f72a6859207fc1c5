"""Options that take settings take the names that the configuration has for them, too."""

from pathlib import Path

import pytest
import yaml

from equitune.config import ImageBuilder, ImageSource, Permutation, RegardScorer
from equitune.io.resources import DEFAULTS
from equitune.options import beside, lexicons, placed, settings, states

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


def test_a_mapping_in_settings_has_dotted_keys():
    text = "architecture=own,options.momentum=0.1"
    assert settings(ImageBuilder, text, "--builder") == ImageBuilder(
        architecture="own", options={"momentum": 0.1}
    )
    with pytest.raises(ValueError, match="--builder: 'options' has a value, and keys in it"):
        settings(ImageBuilder, "options.a=1,options=2", "--builder")


def test_the_folders_of_an_output_stand_for_options_that_were_left_out():
    output = Path("results/scan/add_jump/GRU/seed2/equitune/jump_run/model.safetensors")
    said = placed(output, dataset=None, seed=None, method="finetune", group=None)
    assert vars(said) == {
        "dataset": Path("results/scan/add_jump/seed2/dataset.safetensors"),
        "seed": 2,
        "method": "finetune",  # what is given counts
        "group": "jump_run",
    }
    assert placed(output, seed=0).seed == 0


def test_what_neither_options_nor_folders_say_is_named():
    with pytest.raises(ValueError, match=r"^missing --dataset, --group: name them, or write to …/"):
        placed(Path("out/model.safetensors"), dataset=None, seed=0, group=None)
    with pytest.raises(ValueError, match=r"^missing --seed: name it, or .* --output model.safet"):
        placed(Path("model.safetensors"), seed=None)


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
