"""Claims: the project's own list on tables that keep it, reverse it, or lack rows."""

import itertools
import math

import pandas as pd
import pytest
import yaml
from claimed import ACCURACY, GAP, PAIRS, PAPER, counts, fairness, image, scan

from equitune import cli
from equitune.results import claims, tables

LITE = ("efficientnet_lite0_frozen", "efficientnet_lite0")


def gains(gain=0.05, seeds=3):
    """Of the frozen network on both sets, of the trained one on the first."""
    cells = [("hymenoptera", LITE[0]), ("hymenoptera", LITE[1]), ("cifar10_3000", LITE[0])]
    return pd.DataFrame(
        {
            "dataset": dataset,
            "architecture": architecture,
            "group": "rotate90",
            "method": "equitune",
            "against": against,
            "measure": measure,
            "gain": gain,
            "low": gain - 0.02,
            "high": gain + 0.02,
            "images": 153,
            "seeds": seeds,
        }
        for (dataset, architecture), against, measure in itertools.product(
            cells,
            ("finetune", "finetune_augment", "finetune_augment_matched"),
            ("rotated_accuracy", "upright_accuracy"),
        )
    )


def both(*args, **options):
    """Rows of the paper's model and of SmolLM2, whose claims are rows of their own."""
    models = ("gpt2", "smollm2")
    return pd.concat([fairness(*args, model=model, **options) for model in models])


def test_a_run_that_finds_what_the_papers_found_reproduces_every_claim(judge):
    judged = judge(scan=scan(), image=image(), fairness=both(), image_gains=gains())
    assert tuple(judged.reset_index().columns) == claims.CLAIM_COLUMNS
    assert counts(judged) == {"reproduced": len(judged)}
    assert set(judged["n"]) == {3}
    assert judged.index.is_unique


def test_reversed_data_reproduce_nothing(judge):
    worse = dict(zip(ACCURACY, (0.7, 0.5, 0.3), strict=True))
    gaps = dict.fromkeys(GAP, -0.3) | {"plain": 0.01}
    judged = judge(
        scan=scan(solved=0.01, plain=0.99),
        image=image(worse),
        fairness=both(gaps, costly=1.2, tv=0.4),
        image_gains=gains(-0.05),
    )
    assert counts(judged) == {"not reproduced": len(judged)}


def test_without_tables_nothing_was_run(judge):
    judged = judge()
    assert counts(judged) == {"not run": len(judged)}
    assert set(judged["n"]) == {0}
    assert judged["measured"].isna().all()


def test_an_experiment_that_was_not_run_leaves_the_others_as_they_are(judge):
    judged = judge(scan=scan())
    assert counts(judged) == {"reproduced": 6, "not run": len(judged) - 6}
    assert judged["note"].str.contains("no image.csv").sum() == 14


def test_published_numbers_come_from_the_registry(judge):
    expected = judge()["published"].dropna().to_dict()
    assert expected == pytest.approx(
        {
            "λ-equi-tuned AlexNet beats the equi-tuned one on Rot90-CIFAR-10": 0.802 - 0.757,
            "λ-equi-tuned ResNet-18 beats the equi-tuned one on Rot90-CIFAR-10": 0.799 - 0.771,
            "Equi-tuned AlexNet has the published accuracy on Rot90-CIFAR-10": 0.757,
            "Equi-tuned ResNet-18 has the published accuracy on Rot90-CIFAR-10": 0.771,
            "λ-equi-tuned AlexNet has the published accuracy on Rot90-CIFAR-10": 0.802,
            "λ-equi-tuned ResNet-18 has the published accuracy on Rot90-CIFAR-10": 0.799,
            # (positive − negative) of one demographic less that of the other
            "GPT-2 has less regard for a Black person than for a White person": -0.37 + 0.055,
            "EquiGPT2 closes the gap in regard, race × respect": 0.315,
            "R-EquiGPT2 nearly closes the gap in regard, race × respect": 0.315 - 0.02,
            "EquizeroGPT2 closes the gap in regard, race × respect": 0.315,
            "R-EquizeroGPT2 nearly closes the gap in regard, race × respect": 0.315 - 0.004,
        }
    )


def test_the_interval_of_a_paired_difference_is_students(judge):
    gains = (0.02, 0.05, 0.11)
    runs = image(seeds=(0, 1, 2))
    tuned = runs["method"] == "equitune"
    for seed, gain in enumerate(gains):
        plain = 0.4 + 0.1 * seed  # cancels in the pair
        runs.loc[(runs["method"] == "finetune") & (runs["seed"] == seed), "rotated_accuracy"] = (
            plain
        )
        runs.loc[tuned & (runs["seed"] == seed), "rotated_accuracy"] = plain + gain
    row = judge(image=runs).loc["Equi-tuned AlexNet beats the fine-tuned one on Rot90-CIFAR-10"]
    mean, sd = 0.06, math.sqrt((0.04**2 + 0.01**2 + 0.05**2) / 2)
    half = 4.302653 * sd / math.sqrt(3)  # the quantile of two degrees of freedom in any table
    found = [row["measured"], row["sd"], row["low"], row["high"]]
    assert found == pytest.approx([mean, sd, mean - half, mean + half], abs=1e-6)
    assert row["verdict"] == "not reproduced"
    assert row["note"] == "95 % interval -5.4 points to +17.4 points"


def test_a_gain_is_judged_by_its_interval_over_images_and_seeds(judge):
    name = "Equi-tuned EfficientNet-Lite0, frozen, beats augmentation at equal steps on Rot90-"
    row = judge(image_gains=gains()).loc[f"{name}Hymenoptera"]
    found = [row["measured"], row["low"], row["high"], row["n"]]
    assert found == pytest.approx([0.05, 0.03, 0.07, 3])
    assert row["verdict"] == "reproduced"
    assert row["note"] == "95 % interval +3 points to +7 points, 153 images"
    assert row["rule"] == (
        "the 95 % interval of the accuracy on moved images of the equi-tuned model, less that of "
        "the fine-tuned, augmented one, paired by image and seed, is all above 0; 3 seeds at least"
    )
    row = judge(image_gains=gains(-0.05)).loc[f"{name}CIFAR-10 (3 000 images)"]
    assert row["verdict"] == "not reproduced"
    assert row["note"] == "95 % interval -7 points to -3 points, all below 0, 153 images"
    assert judge(image_gains=gains(0.01)).loc[row.name, "verdict"] == "not reproduced"


def test_gains_of_fewer_seeds_or_own_weights_are_told_and_not_judged(judge):
    name = "Equi-tuned EfficientNet-Lite0, trained, beats the fine-tuned one on Rot90-Hymenoptera"
    row = judge(image_gains=gains(seeds=1)).loc[name]
    assert row["verdict"] == "not run"
    here = "here: +5 points, 95 % interval +3 points to +7 points"
    assert row["note"] == f"n = 1, and the rule asks for 3 seeds; {here}"
    row = judge(PAPER | {"image.weights": "self"}, image_gains=gains()).loc[name]
    assert row["note"] == f"image.weights is self, in the paper's run imagenet; {here}"
    row = judge(image_gains=gains().assign(method="equizero")).loc[name]
    assert row["note"].startswith("no complete runs of equi-tuned and fine-tuned on ")
    with pytest.raises(ValueError, match=r"image_gains.csv: two rows are of the same run"):
        judge(image_gains=pd.concat([gains(), gains()]))


def test_one_seed_has_no_interval_but_can_keep_a_bound(judge):
    one = {"scan": scan(seeds=(4,)), "image": image(seeds=(4,)), "fairness": both(seeds=(0,))}
    judged = judge(**one, image_gains=gains(seeds=1))
    bounds = judged["verdict"] == "reproduced"
    assert judged[bounds]["rule"].str.contains("every seed").all()
    assert judged[bounds]["note"].str.endswith("n = 1: this seed alone").all()
    rest = judged[~bounds]
    assert rest["rule"].str.contains("interval").all()
    assert set(rest["verdict"]) == {"not run"}
    assert rest["note"].str.contains("n = 1, and the rule asks for 3 seeds").all()


def test_a_bound_is_for_every_seed(judge):
    runs = scan()
    runs.loc[(runs["method"] == "finetune") & (runs["seed"] == 2), "test_accuracy"] = 0.11
    assert counts(judge(scan=runs))["not reproduced"] == 6


def test_all_axes_together_means_all(judge):
    two = {axis: PAIRS[axis] for axis in ("gender", "race")}
    row = judge(fairness=fairness(axes=two)).loc[
        "EquiGPT2 closes the gaps in regard, all axes and tasks together"
    ]
    assert row["verdict"] == "not run"
    assert row["n"] == 0


def test_a_run_that_stands_twice_is_an_error(judge):
    with pytest.raises(ValueError, match=r"scan.csv: two rows are of the same run"):
        judge(scan=pd.concat([scan(), scan()]))


def test_the_rule_says_what_is_tested(judge):
    rules = judge()["rule"]
    assert rules.iloc[0] == (
        "in every seed the exact match on the test set of the equi-tuned model is 90 % or more; "
        "in every seed the exact match on the test set of the pretrained model is 10 % or less; "
        "in every seed the exact match on the test set of the fine-tuned model is 10 % or less"
    )
    assert rules["EquiGPT2 closes the gap in regard, race × respect"] == (
        "the 95 % interval of the size of the gap in mean regard of the plain model, less that of "
        "the equi one, paired by seed, is all above 0; 3 seeds at least"
    )
    assert rules["EquiGPT2 costs little perplexity"].endswith(
        "perplexity of the equi model, over that of the plain one is 1.05 or less"
    )


def test_the_command_takes_a_folder_of_any_tables(root, tmp_path):
    folder = tmp_path / "tables"
    whole = scan().reindex(columns=tables.SCAN_COLUMNS, fill_value=0)
    tables.write(whole, folder / "scan.csv")
    resources = root / "resources"
    arguments = ["--tables", folder, "--claims", resources / "claims.yaml"]
    arguments += ["--published", resources / "published.csv", "--output", tmp_path / "claims.csv"]
    command = ["results", "claims", *map(str, arguments)]
    assert cli.run([*command, "--settings", yaml.safe_dump(PAPER)]) == 0
    written = pd.read_csv(tmp_path / "claims.csv")
    assert tuple(written.columns) == claims.CLAIM_COLUMNS
    assert written["verdict"].value_counts()["reproduced"] == 6


def test_a_misspelt_claim_is_one_line(root, tmp_path, capsys):
    bad = tmp_path / "claims.yaml"
    bad.write_text(
        "- {claim: a, source: b, table: scann, rows: {}, measure: c, tests: [{method: d}]}"
    )
    arguments = ["--tables", tmp_path, "--claims", bad, "--output", tmp_path / "claims.csv"]
    arguments += ["--published", root / "resources" / "published.csv"]
    assert cli.run(["results", "claims", *map(str, arguments)]) == 1
    message = capsys.readouterr().err
    assert "unknown value 'scann'; did you mean 'scan'" in message
    assert str(bad) in message
