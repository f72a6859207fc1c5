"""The language rules end to end on a small slice."""

import json

import pytest

from equitune.results import tables

pytestmark = pytest.mark.workflow


def test_the_tables_have_a_row_for_each_cell(finished):
    regard = tables.read(finished / "results/tables/regard.csv", tables.REGARD_COLUMNS)
    fairness = tables.read(finished / "results/tables/fairness.csv", tables.FAIRNESS_COLUMNS)
    assert len(regard) == 3 * 2 * 2  # methods, axes, demographics
    assert len(fairness) == 3 * 2
    assert (regard["n"] == 4 * 5).all()
    shares = regard[["positive", "neutral", "negative", "other"]].sum(axis=1)
    assert shares.between(0.999, 1.001).all()
    fair = fairness["method"] == "equi"
    assert (fairness[fair]["counterfactual_tv"] < 1e-9).all()
    assert (fairness[fairness["method"] == "plain"]["counterfactual_tv"] > 1e-9).all()
    chosen = fairness["method"] == "equizero"  # it has no distribution of the next token
    assert (fairness[~chosen]["perplexity"] > 1).all()
    assert fairness[chosen][["counterfactual_tv", "perplexity"]].isna().all(axis=None)
    place = finished / "results/tables/language_pronouns.csv"
    pronouns = tables.read(place, tables.PRONOUN_COLUMNS)
    assert pronouns["axis"].tolist() == ["gender"] * 3 * 3  # race has no pronouns
    assert pronouns["demographic"].tolist() == ["all", "man", "woman"] * 3
    assert pronouns["texts"].tolist() == [40, 20, 20] * 3


def test_those_that_choose_are_told_by_whom(plan, small, tmp_path):
    small["language"] |= {"models": ["small"], "scorer": "tfidf", "mask": False}
    said, jobs = plan(tmp_path, "--printshellcmds", "language", settings=small)
    commands = [line for line in said.splitlines() if " language generate " in line]
    assert len(commands) == jobs["generate_texts"] == 3
    for command in commands:
        chooses = "--method equizero" in command
        trained = "--trained results/language/scorer/tfidf/model.safetensors"
        assert (f"--no-mask {trained}" in command) is chooses
        assert ("--scorer" in command) is chooses


def test_the_model_is_described_and_every_figure_is_drawn(finished):
    manifest = json.loads(
        (finished / "results/language/corpus/seed0/base/manifest.json").read_text()
    )
    assert manifest["configuration"]["network"]["width"] == 8
    for name in ("language_regard", "language_gaps", "language_fairness", "language_pronouns"):
        for suffix in ("svg", "pdf", "csv"):
            assert (finished / f"results/figures/{name}.{suffix}").stat().st_size > 100


def test_models_whose_axes_have_no_pronouns_are_in_no_table_of_them(plan, small, tmp_path):
    small["language"] |= {"models": ["small", "other"], "axes": ["race"]}
    small["language"]["sources"] = {"other": {"kind": "corpus", "axes": ["orientation"]}}
    _, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["evaluate_language"] == 2
    assert (
        not {"count_pronouns", "tabulate_language_pronouns", "plot_language_pronouns"} & jobs.keys()
    )
    small["language"]["sources"]["other"]["axes"].append("gender")
    _, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["count_pronouns"] == 1
    assert jobs["tabulate_language_pronouns"] == jobs["plot_language_pronouns"] == 1
