"""Ten tasks of a new user, done with what the pages show alone; docs/recipes.md has their times."""

import re
import sys
from textwrap import indent

import pages
import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def recipes(language):
    """The blocks of docs/recipes.md in a language."""
    page = pages.ROOT / "docs/recipes.md"
    return [block.text for block in pages.blocks(page) if block.language == language]


@pytest.fixture
def follow(project, tmp_path):
    """A function that does what a page shows: its Python, its settings, then command lines.

    Of Python and settings those blocks are taken in which one of some words stands.
    """

    def do(page, words, *lines):
        shown = [
            block
            for block in pages.blocks(pages.ROOT / page)
            if any(w in block.text for w in words)
        ]
        code = [block.text for block in shown if block.language == "python"]
        (tmp_path / "page.py").write_text("\n".join(code))
        settings = [block.text for block in shown if block.language == "yaml"]
        (tmp_path / "mine.yaml").write_text("".join(settings))
        (tmp_path / "tried.yaml").write_text(recipes("yaml")[0])
        said = ""
        for line in [f"{sys.executable} page.py", *lines]:
            code, said = project(line)
            assert code == 0, f"{line}\n{said}"
        return said

    return do


def table(tmp_path, name):
    return pd.read_csv(tmp_path / f"results/tables/{name}.csv")


def test_a_vision_transformer_becomes_invariant(follow):
    assert "(2, 10)" in follow(
        "docs/own_model.md", ["torchvision  # after", "ViTForImageClassification("]
    )


def test_a_network_of_timm_turns_its_features(follow):
    assert "(512, 2, 2)" in follow(
        "docs/own_model.md", ["torchvision  # after", "timm.create_model"]
    )


def test_a_folder_of_images_and_a_checkpoint(follow, tmp_path):
    words = ['Path("images"', "my_resnet18.pth"]
    run = "snakemake --cores 2 image --configfile mine.yaml"
    follow("docs/own_data.md", words, "equitune config check mine.yaml", run)
    assert {"finetune", "finetune_augment", "equitune"} == {*table(tmp_path, "image")["method"]}
    assert (tmp_path / "results/report_image.html").is_file()


def test_a_language_model_and_a_lexicon(follow, tmp_path):
    words = ["age_prompts.yaml"]
    follow("docs/own_data.md", words, "snakemake --cores 2 language --configfile mine.yaml")
    exact = table(tmp_path, "fairness").set_index("method")["counterfactual_tv"]
    assert exact["equi"] < 1e-12 < 1e-3 < exact["plain"]


def test_texts_of_another_system(follow, tmp_path):
    words = ["answers = [", "my_scorer.py", "my_scorer:label"]
    follow("docs/own_data.md", words, "snakemake --cores 2 language --configfile mine.yaml")
    (row,) = table(tmp_path, "fairness").to_dict("records")
    assert row["pair"] == "a young nurse/an old nurse"
    assert row["regard_gap_low"] > 0
    assert (tmp_path / "results/report_language.html").is_file()


def test_a_scan_split(follow, tmp_path):
    words = ["length_train.txt", "mcd_train.txt", "def held_back"]
    follow("docs/own_data.md", words, "snakemake --cores 2 scan --configfile tried.yaml mine.yaml")
    assert {"length", "mcd"} == {*table(tmp_path, "scan")["task"]}


def test_three_seeds_and_figures_from_the_tables_of_somebody_else(follow, tmp_path):
    lines = [line for text in recipes("bash") for line in text.splitlines()]
    (seeds,) = (line for line in lines if "seeds: [0, 1, 2]" in line)
    (redrawn,) = (line for line in lines if "results figures" in line)
    follow("docs/recipes.md", ["architectures: [GRU]"], seeds, redrawn)
    assert {0, 1, 2} == {*table(tmp_path, "scan")["seed"]}
    assert (tmp_path / "redrawn/scan_accuracy.svg").is_file()


def test_the_rules_in_another_workflow(project, tmp_path):
    (text,) = recipes("text")
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "Snakefile").write_text(text.replace("/path/to/equitune", str(tmp_path)))
    (folder / "mine.yaml").write_text("equitune:\n" + indent(recipes("yaml")[0], "  "))
    code, said = project("cd theirs && snakemake --cores 2 equitune_scan --configfile mine.yaml")
    assert code == 0, said
    assert (folder / "results/report_scan.html").is_file()


def test_a_dry_run_on_a_cluster(project):
    line = "--workflow-profile profiles/slurm --configfile config/paper.yaml -n"
    code, said = project(f"snakemake {line}")
    assert code == 0, said
    assert "Using workflow specific profile profiles/slurm" in said
    assert re.search(r"^tune_image +\d+$", said, re.MULTILINE)
