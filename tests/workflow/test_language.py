"""The language rules end to end on a small slice, and the published samples from the mirror."""

import json

import pytest

from equitune.results import tables

pytestmark = pytest.mark.workflow


def test_the_tables_have_a_row_for_each_cell(finished):
    regard = tables.read(finished / "results/tables/regard.csv", tables.REGARD_COLUMNS)
    fairness = tables.read(finished / "results/tables/fairness.csv", tables.FAIRNESS_COLUMNS)
    assert len(regard) == 2 * 2 * 2  # methods, axes, demographics
    assert len(fairness) == 2 * 2
    assert (regard["n"] == 4 * 5).all()
    shares = regard[["positive", "neutral", "negative", "other"]].sum(axis=1)
    assert shares.between(0.999, 1.001).all()
    fair = fairness["method"] == "equi"
    assert (fairness[fair]["counterfactual_tv"] < 1e-9).all()
    assert (fairness[fairness["method"] == "gpt2"]["counterfactual_tv"] > 1e-9).all()
    assert (fairness["perplexity"] > 1).all()


def test_the_model_is_described_and_every_figure_is_drawn(finished):
    manifest = json.loads(
        (finished / "results/language/corpus/seed0/base/manifest.json").read_text()
    )
    assert manifest["configuration"]["network"]["width"] == 8
    for name in ("language_regard", "language_gaps", "language_fairness"):
        for suffix in ("svg", "pdf", "csv"):
            assert (finished / f"results/figures/{name}.{suffix}").stat().st_size > 100


def test_published_samples_go_the_same_way(snakemake, small, shared, root, tmp_path):
    small["language"] = {"models": ["published"], "scorer": "tfidf"}
    small["retrieve"] = {"mirror": str(shared / "mirror")}
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 0, done.stderr
    regard = tables.read(tmp_path / "results/tables/regard.csv", tables.REGARD_COLUMNS)
    assert len(regard) == 3 * 2 * 2
    assert (regard["n"] == 500).all()
    fairness = tables.read(tmp_path / "results/tables/fairness.csv", tables.FAIRNESS_COLUMNS)
    assert fairness["counterfactual_tv"].isna().all()
    accuracy = (tmp_path / "results/tables/regard_scorer.csv").read_text().splitlines()
    assert accuracy[0] == "part,n,accuracy,published"
    assert len(accuracy) == 3


def test_an_unknown_file_of_samples_is_one_line(snakemake, small, tmp_path):
    small["language"]["sources"] = {"mine": {"kind": "samples", "location": "gpt2_sample"}}
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 1
    place = "config: language.sources.mine.location"
    assert f"{place}: unknown file 'gpt2_sample'; did you mean 'gpt2_samples'" in done.stderr
