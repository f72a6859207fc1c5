"""Findings in words: every number in them is that of the tables, whichever way it went."""

import pandas as pd
import pytest

from equitune import cli
from equitune.results import findings, tables
from equitune.results.claims import CLAIM_COLUMNS

SCAN = {"task": "add_jump", "group": "identity", "test_size": 7706}
IMAGE = {"dataset": "own_set", "architecture": "alexnet", "group": "rotate90", "test_size": 270}
GAIN = {"method": "equitune", "measure": "rotated_accuracy", "architecture": "alexnet"}
TEXTS = {"model": "gpt2", "axis": "race", "task": "respect", "n": 500}


@pytest.fixture
def scan():
    """Two architectures, two seeds; equi-tuning wins with one of them."""
    accuracy = {("GRU", "finetune"): 0.1, ("GRU", "equitune"): 0.9}
    accuracy |= {("RNN", "finetune"): 0.5, ("RNN", "equitune"): 0.3}
    return pd.DataFrame(
        SCAN | {"architecture": name, "method": method, "seed": seed, "test_accuracy": value}
        for (name, method), value in accuracy.items()
        for seed in (0, 1)
    )


@pytest.fixture
def fairness():
    numbers = {
        "plain": (0.4, 30.0, -0.25, -0.4, -0.1),
        "equi": (2e-7, 30.6, 0.01, -0.1, 0.12),
    }
    gap = ("regard_gap", "regard_gap_low", "regard_gap_high")
    return pd.DataFrame(
        TEXTS
        | {"method": method, "seed": 0}
        | dict(zip(("counterfactual_tv", "perplexity", *gap), values, strict=True))
        for method, values in numbers.items()
    )


def test_scan_says_in_how_many_comparisons_equi_tuning_won(scan):
    first, each = findings.scan(scan)
    assert first == (
        "The equi-tuned model decodes more test commands right than the fine-tuned one in 1 of 2 "
        "comparisons (n = 2 seeds each)."
    )
    assert each == (
        "add jump, GRU, RNN: of 7706 test commands are right: fine-tuned 10.0 to 50.0 %; "
        "equi-tuned 30.0 to 90.0 % (n = 2 seeds)."
    )


def test_images_say_better_worse_and_not_shown():
    table = pd.DataFrame(
        IMAGE | {"method": method, "seed": 0, "rotated_accuracy": value}
        for method, value in {"finetune": 0.4, "equitune": 0.8}.items()
    )
    rows = [("finetune", 0.4, 0.3, 0.5), ("finetune", -0.2, -0.3, -0.1), ("finetune", 0.1, -1, 1)]
    columns = ("against", "gain", "low", "high")
    gains = pd.DataFrame(GAIN | dict(zip(columns, row, strict=True)) for row in rows)
    first, each = findings.image(table, gains)
    assert "more than the fine-tuned one in 1 of 3 comparisons" in first
    assert "fewer in 1; the gain is -20.0 to +40.0 points" in first
    assert each.startswith("own set, AlexNet: of 270 test images, each moved by a random group")
    assert each.endswith("fine-tuned 40.0 %; equi-tuned 80.0 % (n = 1 seed).")
    assert findings.image(table.drop(columns="test_size"), gains[:0])[0] == findings.NOTHING


def test_language_says_distance_gap_and_cost(fairness):
    first, plain, equal = findings.language(fairness)
    assert first == (
        "gpt2: the averaged model does not depend on the demographic: its distance from fairness "
        "is 2e-07 at most, which is rounding, that of the plain one 0.4 (counterfactual total "
        "variation; n = 1 seed). Its perplexity is +2.0 % against the plain model's."
    )
    size = (
        "{} in size (n = 500 texts a gap); the 95 % interval leaves out 0 in {} of 1 comparisons."
    )
    assert plain.endswith("gpt2, plain: " + size.format("0.25", 1))
    assert equal.endswith("gpt2, equi: " + size.format("0.01", 0))
    thin = fairness.assign(regard_gap_low=float("nan"))
    assert findings.language(thin)[1].endswith("; no 95 % interval, as there are too few texts.")
    unfair = fairness.assign(counterfactual_tv=0.1)
    assert "is not fair: its distance from fairness is up to 0.1" in findings.language(unfair)[0]
    unread = fairness.assign(perplexity=float("nan"))  # as of a model without a text of its own
    assert findings.language(unread)[0].endswith("n = 1 seed). Its perplexity is not measured.")
    alone = fairness.assign(counterfactual_tv=float("nan"), regard_gap=float("nan"))
    assert findings.language(alone) == [findings.NOTHING]


@pytest.fixture
def judged():
    """Two claims; the first one's words must not become markup."""
    base = dict.fromkeys(CLAIM_COLUMNS, 1.0) | {"source": "a paper", "n": 3}
    rows = [
        base | {"claim": "A <b> wins", "verdict": "not run", "rule": "a < b", "note": "too small"},
        base | {"claim": "C wins", "verdict": "reproduced", "rule": "c is more", "note": "1"},
    ]
    return pd.DataFrame(rows)


def test_claims_are_sentences_with_the_rule_folded_away(judged):
    page = findings.claims(judged)
    assert page.index("Reproduced (1)") < page.index("C wins") < page.index("Not run (1)")
    assert '<span title="c is more">C wins.</span> n = 3 seeds.' in page
    assert "<summary>rule and numbers</summary>Tested: a &lt; b.<br>Found: too small." in page
    assert "<b>" not in page


def test_the_command_writes_each_part(scan, judged, tmp_path):
    tables.write(scan.reindex(columns=tables.SCAN_COLUMNS, fill_value=0), tmp_path / "scan.csv")
    tables.write(judged, tmp_path / "claims.csv")
    for name, said in (("scan", "1 of 2 comparisons"), ("claims", "C wins")):
        output = tmp_path / f"{name}.html"
        arguments = ["page", name, "--tables", str(tmp_path), "--output", str(output)]
        assert cli.run(["results", *arguments]) == 0
        assert said in output.read_text(encoding="utf-8")
