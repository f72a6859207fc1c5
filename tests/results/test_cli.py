"""The commands of tables and figures: what the rules call, from parts to drawings."""

import pandas as pd
import pytest

from equitune import cli
from equitune.results import tables

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
    output = parts / "tables" / f"{table.replace('-', '_')}.csv"
    assert run("table", table, *files, "--output", output, *further) == 0


@pytest.fixture
def folder(parts):
    """The folder of the image experiment's tables."""
    summary = parts / "tables" / "image_summary.csv"
    gather(parts, "evaluation", "image", "--summary", summary)
    gather(parts, "elements", "image-elements")
    gather(parts, "examples", "image-examples")
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


def test_a_folder_without_tables_is_one_line(root, tmp_path, capsys):
    published = root / "resources" / "published.csv"
    arguments = ["figures", "--tables", tmp_path, "--published", published]
    assert run(*arguments, "--output", tmp_path / "drawn") == 1
    message = capsys.readouterr().err
    assert f"no table to draw from in {tmp_path}: run snakemake" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "drawn").exists()


def test_a_part_that_is_missing_writes_nothing(parts, capsys):
    output = parts / "tables" / "image_elements.csv"
    assert run("table", "image-elements", parts / "elements7.csv", "--output", output) == 1
    message = capsys.readouterr().err
    assert "elements7.csv does not exist: run snakemake" in message
    assert message.count("\n") == 1
    assert not output.exists()
