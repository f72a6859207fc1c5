"""The pictures of the pages: what their captions say, and from the numbers that are named."""

import importlib.util
import re

import pytest
import torch


def script(root, name):
    """The script that draws a picture, as a module."""
    file = root / f"docs/pictures/{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def before_after(root):
    return script(root, "before_after")


@pytest.fixture(scope="module")
def between(root):
    return script(root, "between")


@pytest.fixture(scope="module")
def cost(root):
    return script(root, "cost")


def test_one_model_changes_its_mind_and_the_other_does_not(before_after, tmp_path):
    reading = before_after.compute()
    plain, equal = (reading.probabilities[method] for method in ("finetune", "equitune"))
    assert len(set(plain.argmax(-1).tolist())) == len(before_after.TURNS)
    assert plain.argmax(-1)[0] == reading.label
    assert set(equal.argmax(-1).tolist()) == {reading.label}
    torch.testing.assert_close(equal, equal[:1].expand_as(equal))
    before_after.draw(reading).savefig(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 0


def test_the_page_of_costs_has_the_numbers_of_its_table(cost):
    page, rows, jobs = cost.PAGE.read_text(encoding="utf-8"), cost.read(), cost.read_jobs()
    assert cost.fill(page, rows, jobs) == page
    itself = rows["benchmark"].isin(["order", "memory"]) & (rows["order"] == 1)
    shown = (rows["n"] > 0) & ~itself & ~rows["benchmark"].isin(cost.GROWTH)
    filled = cost.fill(page, rows.assign(ratio=0.123), jobs)
    slopes = cost.growth(rows.assign(ratio=0.123)).count("| 0.123 |")
    assert filled.count("| 0.123 |") == shown.sum() + slopes
    for machine in rows["machine"]:
        assert machine in page


def test_the_page_of_costs_has_every_slope_and_what_follows_from_it(cost):
    rows = cost.read()
    slopes = rows[rows["benchmark"] == "growth_slope"]
    times = slopes[~slopes["numerator"].str.endswith(cost.MEMORY)]
    lines = cost.growth(rows).splitlines()[2:]
    assert len(lines) == len(times) > 5
    assert {line.split(" | ")[0].removeprefix("| ") for line in lines} == {
        name.replace("|", "\\|") for name in cost.VARIABLES
    }
    for ratio in slopes["ratio"]:
        assert any(f"| {cost.number(ratio)}" in line for line in lines)
    for row in rows[rows["benchmark"] == "growth_hundredfold"].itertuples():
        assert any(f"| {cost.number(row.ratio)}" in line for line in lines)


def test_a_hundredfold_is_the_power_of_the_slope_that_was_measured(cost):
    rows = cost.read()
    key = ["experiment", "model", "numerator", "order"]
    slopes, computed = (
        rows[rows["benchmark"] == name].set_index(key)
        for name in ("growth_slope", "growth_hundredfold")
    )
    assert len(computed) > 5
    assert computed["note"].str.startswith("computed").all()
    for column in ("ratio", "low", "high"):
        expected = 100 ** slopes.loc[computed.index, column]
        assert computed[column].to_list() == pytest.approx(
            expected.to_list(), rel=1e-3, nan_ok=True
        )


def test_hours_of_a_hundredfold_are_those_of_its_jobs(cost):
    rows, jobs = cost.read(), cost.read_jobs()
    at = (rows["benchmark"] == "growth_hundredfold") & rows["setting"].str.startswith("examples")
    rows.loc[at, ["ratio", "low", "high"]] = [100.0, 50.0, 200.0]
    (line,) = (x for x in cost.hundredfold(rows, jobs).splitlines() if "`tune_scan`" in x)
    own = jobs[jobs["rule"] == "tune_scan"]
    stays = own["start_seconds"] + own["imports_seconds"]
    longest, every = (
        [float(f((stays + factor * (own["seconds"] - stays)) / 3600)) for factor in (100, 50, 200)]
        for f in (max, sum)
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:4] == [str(len(own)), f"{own['seconds'].max():.3g}", "100 (50–200)"]
    said = [[float(x) for x in re.findall(r"[\d.]+", cell)] for cell in cells[4:]]
    assert said == [pytest.approx(longest, rel=0.01), pytest.approx(every, rel=0.01)]


def test_the_page_of_costs_says_what_all_seconds_went_to(cost):
    jobs = cost.read_jobs()
    said = cost.spent(jobs)
    assert said.startswith(f"{len(jobs)} jobs took ")
    parts = [int(number) for number in re.findall(r" (\d+) s[,.]", said)]
    assert len(parts) == 5
    assert sum(parts) == pytest.approx(jobs["seconds"].sum(), abs=3)


@pytest.mark.parametrize("stage", ["pretraining", "equi-tuning", "evaluation"])
def test_what_torchs_layers_would_take_is_each_stages_own(cost, stage):
    rows, jobs = cost.read(), cost.read_jobs()
    own = jobs[jobs["job"].str.startswith("scan/") & jobs["job"].str.contains("/LSTM/")]
    training, tuned = own["training_seconds"], own["job"].str.contains("/equitune/")
    evaluated = own[own["rule"] == "evaluate_scan"]
    seconds = {
        "pretraining": training[~tuned].sum(),
        "equi-tuning": training[tuned].sum(),
        "evaluation": (
            evaluated["seconds"] - evaluated["start_seconds"] - evaluated["imports_seconds"]
        ).sum(),
    }
    at = (
        (rows["benchmark"] == "layers") & (rows["model"] == "LSTM") & (rows["denominator"] == stage)
    )
    large = at & rows["setting"].str.endswith("128") & (stage != "evaluation")
    rows = rows.assign(ratio=1.0)
    rows.loc[at, "ratio"] = 101.0  # of all SCAN, this alone is slower
    rows.loc[large, "ratio"] = 0.0  # not the configuration's batch
    found = re.findall(r"take ([\d ]+) s", cost.layers(rows, jobs))
    said = [float(x.replace(" ", "")) for x in found]
    assert at.sum() > 0
    assert said[1] - said[0] == pytest.approx(100 * seconds[stage], rel=0.01)


def test_the_page_of_costs_names_every_aim_that_was_missed(cost):
    rows = cost.read()[:3].assign(at_least=[2, 2, None], at_most=[None, None, 1.05], n=5)
    lines = cost.missed(rows.assign(ratio=[1.9, 2.1, 1.06])).splitlines()
    assert [line.rpartition(", ")[2] for line in lines] == ["aim ≥ 2", "aim ≤ 1.05"]
    assert cost.missed(rows.assign(ratio=[2, 2, 1.05])) == "Nothing."


def test_the_pictures_of_costs_are_those_of_their_table(cost, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "FOLDER", tmp_path)
    cost.draw(cost.read(), cost.read_jobs())
    drawn = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    names = [*(f"cost_{name}" for name in (*cost.COST, "growth")), "job_times"]
    assert drawn.keys() == {f"{name}.svg" for name in names}
    for name, picture in drawn.items():
        assert (cost.TABLE.parent / name).read_bytes() == picture, name


def test_the_errors_between_rotations_are_those_that_are_measured(between, tmp_path, monkeypatch):
    """Picture and page are those of the table; one of its cells is measured anew."""
    rows = between.read()
    page = between.PAGE.read_text(encoding="utf-8")
    assert between.fill(page, rows) == page
    assert between.fill(page, rows.assign(between=0.123)).count(" 0.12 |") == 20
    monkeypatch.setattr(between, "PICTURE", tmp_path / "between.svg")
    drawn = between.PICTURE
    between.save(rows)
    assert drawn.read_bytes() == (between.TABLE.with_suffix(".svg")).read_bytes()
    cell = rows[(rows["n"] == 4) & (rows["pixels"] == 32) & (rows["network"] == 2)].iloc[0]
    measured = between.errors(4, cell["interpolation"], 32, 2)
    assert measured[0] == pytest.approx(cell["between"], rel=1e-3)
    assert measured[1] < 1e-5  # quarter turns are exact


def test_the_error_between_rotations_falls_to_that_of_the_interpolation(between):
    medians = between.medians(between.read())
    for _, part in medians.groupby(["pixels", "interpolation"]):
        errors = part.set_index("n")["between"]
        assert errors[4] > 2 * errors[8] > 4 * errors[16] > 4 * errors[32]
        assert errors[32] < 2 * part.set_index("n")["samples"][32]
