"""The samples that were published go through the language rules as those that are drawn here."""

import pytest

from equitune.results import tables

pytestmark = pytest.mark.workflow


@pytest.mark.slow
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
    assert accuracy[0] == "scorer,part,n,accuracy,low,high,tfidf,published"
    assert [line.split(",")[:2] for line in accuracy[1:]] == [["tfidf", "dev"], ["tfidf", "test"]]
    assert set(regard["scorer"]) == set(fairness["scorer"]) == {"tfidf"}
    assert (tmp_path / "results/language/scorer/tfidf/model.safetensors").is_file()
