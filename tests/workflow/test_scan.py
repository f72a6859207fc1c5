"""The SCAN rules end to end on a small slice of the real benchmark."""

import pytest

from equitune.results import tables

pytestmark = pytest.mark.workflow


def test_the_table_has_a_row_for_each_run(finished):
    table = tables.read(finished / "results/tables/scan.csv", tables.SCAN_COLUMNS)
    assert len(table) == 3
    assert set(table["method"]) == {"pretrained", "finetune", "equitune"}
    assert table["test_accuracy"].between(0, 1).all()
    assert (table["train_examples"] == 150).all()
    tuned = table[table["method"] == "equitune"]
    assert (tuned["equivariance_error"] <= 1e-5).all()
    assert (table[table["method"] != "equitune"]["equivariance_error"] > 1e-3).all()
    assert set(tuned["group"]) == {"jump_run"}
    assert (finished / "results/figures/scan_accuracy.svg").stat().st_size > 1000
