"""The commands of tables and figures: what the rules call, from parts to drawings."""

import json

import pandas as pd
import pytest

from equitune import cli
from equitune.io.files import sha256
from equitune.results import tables
from equitune.results.catalogue.cost import COST

ELEMENTS = ("e", "r", "r2", "r3")
# a grey pixel
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC"


def run(*arguments):
    return cli.run(["results", *(str(argument) for argument in arguments)])


@pytest.fixture
def parts(tmp_path):
    """The three tables of each of two seeds, and the folder they are in."""
    for seed in (0, 1):
        run = dict(
            zip(tables.IMAGE_KEYS, ("digits", "alexnet", "finetune", "identity"), strict=True)
        )
        run |= {"seed": seed}
        numbers = dict.fromkeys(tables.IMAGE_COLUMNS[5:], 0.5 + seed / 4)
        moved = run | {"measured_by": "rotate90"}
        rows = {
            "evaluation": [run | numbers],
            "elements": [moved | {"element": g, "accuracy": 0.25} for g in ELEMENTS],
            "examples": [
                moved | {"image": 1, "label": 7, "element": g, "prediction": 1, "png": PNG}
                for g in ELEMENTS
            ],
        }
        for name, table in rows.items():
            pd.DataFrame(table).to_csv(tmp_path / f"{name}{seed}.csv", index=False)
    return tmp_path


def gather(parts, kind, table, *further):
    files = [parts / f"{kind}{seed}.csv" for seed in (1, 0)]
    output = parts / "tables" / f"{table}.csv"
    assert run("table", table, *files, "--output", output, *further) == 0


@pytest.fixture
def folder(parts):
    """The folder of the image experiment's tables."""
    summary = parts / "tables" / "image_summary.csv"
    gather(parts, "evaluation", "image", "--summary", summary)
    gather(parts, "elements", "image_elements")
    gather(parts, "examples", "image_examples")
    return parts / "tables"


def test_image_tables_come_from_the_parts(folder):
    table = tables.read(folder / "image.csv", tables.IMAGE_COLUMNS)
    assert table["seed"].tolist() == [0, 1]
    summary = pd.read_csv(folder / "image_summary.csv")
    assert set(summary["measure"]) == set(tables.IMAGE_MEASURES)
    assert set(summary["mean"]) == {0.625}
    elements = tables.read(folder / "image_elements.csv", tables.IMAGE_ELEMENT_COLUMNS)
    assert elements["element"].tolist() == [*ELEMENTS, *ELEMENTS]
    examples = tables.read(folder / "image_examples.csv", tables.IMAGE_EXAMPLE_COLUMNS)
    assert examples["seed"].tolist() == [0] * 4
    assert set(examples["png"]) == {PNG}


def test_a_table_stands_beside_what_it_was_made_from(folder, parts):
    manifest = json.loads((folder / "image.manifest.json").read_text())
    files = [parts / f"evaluation{seed}.csv" for seed in (0, 1)]
    assert manifest["inputs"] == {str(file): sha256(file) for file in files}


def test_every_figure_whose_tables_are_there_is_drawn(root, folder, tmp_path):
    published = root / "resources" / "published.csv"
    output = tmp_path / "drawn"
    arguments = ["figures", "--tables", folder, "--published", published, "--output"]
    assert run(*arguments, output) == 0
    names = {"image_accuracy", "image_cost", "image_rotation", "image_orbit_digits_alexnet"}
    assert {file.name for file in output.iterdir()} == {
        f"{name}.{suffix}" for name in names for suffix in ("svg", "pdf", "csv")
    }
    (folder / "image.csv").unlink()
    assert run(*arguments, tmp_path / "less") == 0
    assert {file.stem for file in (tmp_path / "less").iterdir()} == {"image_rotation"}


@pytest.fixture
def language(tmp_path):
    """The tables that two models leave, one of them only texts: regard, fairness, truth."""
    for seed, model in enumerate(("small", "published")):
        run = {"model": model, "method": "plain", "axis": "race", "task": "respect"}
        shares = dict.fromkeys(tables.REGARD_LABELS, 0.25)
        text = {"context": "was known for", "sample": 0, "text": "NA", "regard": "other"}
        run |= {"scorer": "words"} if model == "small" else {}  # the other is an older table
        gap = dict.fromkeys(("regard_gap", "regard_gap_low", "regard_gap_high"), 0.1)
        own = {"counterfactual_tv": 0.25, "perplexity": 8.5} if model == "small" else {}
        gap |= {"pair": "Black person/NA", "p_value": 0.5, "n": 20} | own
        both = [run | {"demographic": name} for name in ("NA", "Black person")]
        counts = {"seed": 0, "texts": 20, "with_pronoun": 10, "agree": 9, "share": 0.9}
        columns = {"fairness": tables.FAIRNESS_COLUMNS, "pronouns": tables.PRONOUN_COLUMNS}
        rows = {
            "regard": [row | shares | {"seed": 0, "n": 10, "sentiment": 0} for row in both],
            "fairness": [run | {"seed": 0} | gap],
            "texts": [row | text | {"seed": 0} for row in both],
            "pronouns": [row | counts for row in (*both, run | {"demographic": tables.ALL})],
        }
        for name, table in rows.items():
            part = pd.DataFrame(table, columns=columns.get(name))
            part.to_csv(tmp_path / f"{name}{seed}.csv", index=False)
    folder = tmp_path / "tables"
    gather(tmp_path, "regard", "regard", "--summary", folder / "regard_summary.csv")
    gather(tmp_path, "fairness", "fairness", "--summary", folder / "fairness_summary.csv")
    gather(tmp_path, "texts", "language_texts")
    gather(tmp_path, "pronouns", "language_pronouns")
    return folder


def test_language_tables_come_from_the_parts(language):
    regard = tables.read(language / "regard.csv", tables.REGARD_COLUMNS)
    assert regard["demographic"].tolist() == ["Black person", "NA"] * 2
    assert regard["model"].tolist() == ["published"] * 2 + ["small"] * 2
    fairness = tables.read(language / "fairness.csv", tables.FAIRNESS_COLUMNS)
    assert fairness["perplexity"].isna().tolist() == [True, False]
    assert tuple(fairness.columns) == tables.FAIRNESS_COLUMNS
    assert fairness["scorer"].fillna("").tolist() == ["", "words"]
    summary = pd.read_csv(language / "fairness_summary.csv")
    assert set(summary["scorer"].fillna("")) == {"", "words"}
    assert len(summary) == 2 * len(tables.FAIRNESS_MEASURES)
    assert set(summary["measure"]) == set(tables.FAIRNESS_MEASURES)
    assert set(pd.read_csv(language / "regard_summary.csv")["measure"]) == {
        *tables.REGARD_LABELS,
        "sentiment",
    }
    texts = pd.read_csv(language / "language_texts.csv", keep_default_na=False)
    assert texts["demographic_2"].tolist() == ["NA", "NA"]
    assert texts["text_1"].tolist() == ["NA", "NA"]
    pronouns = tables.read(language / "language_pronouns.csv", tables.PRONOUN_COLUMNS)
    assert pronouns["demographic"].tolist() == ["Black person", "NA", "all"] * 2
    assert pronouns["share_low"].isna().all()


def test_language_figures_need_no_other_experiment(root, language, tmp_path):
    published = root / "resources" / "published.csv"
    arguments = ["figures", "--tables", language, "--published", published, "--output"]
    assert run(*arguments, tmp_path / "plain") == 0
    names = {"language_regard", "language_gaps", "language_fairness", "language_pronouns"}
    assert {file.name for file in (tmp_path / "plain").iterdir()} == {
        f"{name}.{suffix}" for name in names for suffix in ("svg", "pdf", "csv")
    }
    shares = dict.fromkeys(tables.REGARD_LABELS, 0.25) | {"positive": 0.75, "neutral": 0}
    rows = [{"axis": "race", "task": "respect", "demographic": "NA"} | shares]
    rows += [rows[0] | {"demographic": "Black person", "positive": 0.25}]
    pd.DataFrame(rows).to_csv(language / "truth.csv", index=False)
    assert run(*arguments, tmp_path / "more") == 0
    for name in ("language_regard", "language_gaps"):
        kinds = [
            set(pd.read_csv(tmp_path / at / f"{name}.csv")["kind"]) for at in ("plain", "more")
        ]
        assert kinds[1] - kinds[0] == {"planted"}
    gaps = pd.read_csv(tmp_path / "more" / "language_gaps.csv")
    assert gaps["regard_gap"].tolist() == [-0.5, 0.1, 0.1]
    (language / "fairness.csv").unlink()
    (language / "language_pronouns.csv").unlink()
    assert run(*arguments, tmp_path / "less") == 0
    assert {file.stem for file in (tmp_path / "less").iterdir()} == {"language_regard"}


COSTS = {  # by benchmark: what is measured
    "loop": "sample",
    "floor": "sample",
    "order": "forward pass",
    "memory": "training step, chunk_size 1",
    "peer_rate": "EquiTuned",
    "peer_error": "EquiTuned",
    "state": "one write",
    "product_time": "frame",
    "product_error": "frame",
    "product_distance": "frame",
    "growth": "evaluate",
    "growth_slope": "evaluate",
}
SETTINGS = {"growth": "examples 10, batch 2", "growth_slope": "examples 10 to 80, batch 2"}


def test_costs_come_from_the_parts_and_are_drawn_without_other_tables(root, tmp_path):
    blank = dict.fromkeys(tables.COST_COLUMNS)
    numbers = dict.fromkeys(("ratio", "low", "high", "value", "denominator_value"), 1.5)
    rows = [
        blank
        | numbers
        | {"benchmark": name, "experiment": "image", "model": "resnet18"}
        | {
            "setting": SETTINGS.get(name, "64 px"),
            "order": 4,
            "numerator": what,
            "denominator": "plain",
            "unit": "seconds",
            "n": 5,
        }
        for name, what in COSTS.items()
    ]
    larger = {"setting": "examples 80, batch 2", "value": 12.0}  # one size alone has no slope
    rows += [row | larger for row in rows if row["benchmark"] == "growth"]
    pd.DataFrame(rows[:3]).to_csv(tmp_path / "cost0.csv", index=False)
    pd.DataFrame(rows[3:]).to_csv(tmp_path / "cost1.csv", index=False)
    gather(tmp_path, "cost", "cost")
    table = tables.read(tmp_path / "tables" / "cost.csv", tables.COST_COLUMNS)
    assert table["benchmark"].unique().tolist() == sorted(COSTS)
    assert (tmp_path / "tables" / "cost.manifest.json").exists()
    published = root / "resources" / "published.csv"
    drawn = tmp_path / "drawn"
    places = ["--tables", tmp_path / "tables", "--published", published, "--output", drawn]
    assert run("figures", *places) == 0
    expected = {f"cost_{name}" for name in (*COST, "products", "growth")}
    assert {file.stem for file in drawn.iterdir()} == expected


def test_a_truth_that_is_none_draws_nothing(language, tmp_path, capsys):
    bad = tmp_path / "truth.csv"
    bad.write_text("axis,task\nrace,respect\n")
    arguments = [language / "fairness.csv", bad, "--output", tmp_path / "drawn"]
    assert run("figure", "language_gaps", *arguments) == 1
    message = capsys.readouterr().err
    assert f"{bad} lacks the columns demographic, positive" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "drawn").exists()


def test_a_table_in_the_place_of_its_folder_is_called_a_file(tmp_path, capsys):
    table = tmp_path / "scan.csv"
    table.write_text("task\n")
    assert run("figures", "--tables", table, "--output", tmp_path / "drawn") == 1
    assert f"{table} is a file: name its folder" in capsys.readouterr().err


def test_a_folder_without_tables_is_one_line(root, tmp_path, capsys):
    published = root / "resources" / "published.csv"
    arguments = ["figures", "--tables", tmp_path, "--published", published]
    assert run(*arguments, "--output", tmp_path / "drawn") == 1
    message = capsys.readouterr().err
    assert f"no table to draw from in {tmp_path}: run snakemake" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "drawn").exists()


def test_one_figure_is_drawn_from_the_files_that_are_named(root, folder, tmp_path, capsys):
    published = root / "resources" / "published.csv"
    output = ["--output", tmp_path / "one"]
    assert run("figure", "image_accuracy", folder / "image.csv", published, *output) == 0
    assert {file.stem for file in (tmp_path / "one").iterdir()} == {"image_accuracy"}
    assert run("figure", "image_accuracy", folder / "image.csv", *output) == 1
    assert (
        "image_accuracy is drawn from published.csv too: name the file" in capsys.readouterr().err
    )
    assert run("figure", "image_acuracy", folder / "image.csv", *output) == 1
    assert (
        "unknown figure 'image_acuracy'; did you mean 'image_accuracy'" in capsys.readouterr().err
    )


def test_a_figure_of_one_cell_leaves_the_others_out(folder, tmp_path, capsys):
    table = pd.read_csv(folder / "image.csv")
    table = pd.concat([table, table.assign(architecture="resnet18")])
    table.to_csv(folder / "image.csv", index=False)
    files = [folder / "image.csv", folder / "image_examples.csv", "--output", tmp_path / "one"]
    assert run("figure", "image_orbit", *files, "--architecture", "alexnet") == 0
    assert {file.stem for file in (tmp_path / "one").iterdir()} == {"image_orbit_digits_alexnet"}
    assert run("figure", "image_orbit", *files, "--dataset", "cifar10") == 1
    assert "image.csv has no runs of cifar10" in capsys.readouterr().err
    assert run("figure", "image_cost", *files, "--dataset", "digits") == 1
    assert "image_cost shows every dataset: leave out --dataset" in capsys.readouterr().err


def test_what_a_table_takes_is_said(parts, capsys):
    part, output = parts / "evaluation0.csv", ["--output", parts / "made.csv"]
    for name, options, message in (
        ("image", [], "table image takes --summary"),
        ("image_elements", ["--summary", parts / "mean.csv"], "image_elements takes no --summary"),
        ("image_forecast", [], "table image_forecast takes --scores"),
        ("scan", ["--scores", part], "table scan takes no --scores"),
        ("imag", [], "unknown table 'imag'; did you mean 'image'"),
    ):
        kind = "elements" if name == "image_elements" else "evaluation"
        assert run("table", name, parts / f"{kind}0.csv", *output, *options) == 1
        assert message in capsys.readouterr().err
    assert not (parts / "made.csv").exists()


def test_a_part_that_is_missing_writes_nothing(parts, capsys):
    output = parts / "tables" / "image_elements.csv"
    assert run("table", "image_elements", parts / "elements7.csv", "--output", output) == 1
    message = capsys.readouterr().err
    assert "elements7.csv does not exist: run snakemake" in message
    assert message.count("\n") == 1
    assert not output.exists()
