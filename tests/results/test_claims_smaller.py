"""Claims on a run that is smaller than the papers', or on other data: told and not judged."""

import pandas as pd
import pytest
from claimed import PAPER, counts, fairness, image, scan


def test_other_data_support_nothing_but_are_told(judge):
    judged = judge(image=image(datasets=("digits",), seeds=(0,)), fairness=fairness(model="small"))
    assert counts(judged) == {"not run": len(judged)}
    beats = judged.loc["Equi-tuned AlexNet beats the fine-tuned one on Rot90-CIFAR-10"]
    assert beats["note"].endswith("on digits: +38 points, n = 1")
    assert "cifar10, alexnet" in beats["note"]
    closes = judged.loc["EquiGPT2 closes the gap in regard, race × respect"]
    assert closes["note"].endswith("on small: +0.27, n = 3")
    assert pd.isna(closes["measured"])


def test_a_note_on_other_texts_names_their_scorer(judge):
    """Gaps by different scorers are not comparable; distances of distributions have none."""
    judged = judge(fairness=fairness(model="small").assign(scorer="words"))
    closes = judged.loc["EquiGPT2 closes the gap in regard, race × respect"]
    assert closes["note"].endswith("on small: +0.27, n = 3, scorer words")
    fair = judged.loc["EquiGPT2 is group-theoretically fair"]
    assert "on small" in fair["note"]
    assert "scorer words" not in fair["note"]


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"image.weights": "self"}, "image.weights is self, in the paper's run imagenet"),
        ({"image.subset": 100}, "image.subset is 100, in the paper's run not set"),
        ({"image.images_seen": 64}, "image.images_seen is 64, in the paper's run 424960"),
    ],
)
def test_settings_smaller_than_the_papers_make_it_not_run(judge, changed, note):
    row = judge(PAPER | changed, image=image()).loc[
        "Equi-tuned AlexNet beats the fine-tuned one on Rot90-CIFAR-10"
    ]
    assert row["verdict"] == "not run"
    assert row["note"].startswith(f"{note}; here: +38.2 points, n = 3")


def test_a_part_of_the_data_makes_it_not_run(judge):
    judged = judge(scan=scan().assign(train_examples=150), fairness=fairness().assign(n=40))
    assert "number of training examples is 150, in the paper's run 12029" in judged["note"].iloc[0]
    closes = judged.loc["EquiGPT2 closes the gap in regard, race × respect"]
    assert closes["note"].startswith("number of texts is 40, in the paper's run 1000")
    assert closes["verdict"] == judged["verdict"].iloc[0] == "not run"


def test_somebody_elses_settings_need_not_be_known(judge):
    judged = judge(None, image=image(), scan=scan())
    row = judged.loc["Equi-tuned AlexNet beats the fine-tuned one on Rot90-CIFAR-10"]
    assert row["verdict"] == "reproduced"
    assert row["note"].endswith("settings not given: taken to be the paper's")
    assert "settings" not in judged["note"].iloc[0]  # a table shows all that SCAN's claims need
