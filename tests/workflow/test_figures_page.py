"""The table of docs/figures.md says what the workflow does."""

import re

import pytest

from equitune import config

pytestmark = pytest.mark.workflow
ROW = re.compile(
    r"\| `(?P<figure>[^`]+)` \| `(?P<rule>\w+)` \| (?P<tables>.*?) \| (?P<keys>.*?) \|$"
)


@pytest.fixture(scope="module")
def rows(root):
    """The rows of the page: figure, rule, tables and keys, None where it is said there are none."""
    lines = (root / "docs/figures.md").read_text().splitlines()
    found = [match for match in map(ROW.match, lines) if match]
    return [
        (
            row["figure"],
            row["rule"],
            {*re.findall("`(.*?)`", row["tables"])},
            None if row["keys"] == "no key" else {*re.findall("`(.*?)`", row["keys"])},
        )
        for row in found
    ]


@pytest.fixture(scope="module")
def drawn(snakemake, tmp_path_factory):
    """What Snakemake would do: for each figure the rule that draws it, and from which tables."""
    folder = tmp_path_factory.mktemp("plan")
    tuning = {"models": ["small"], "block": 32}  # the default run tunes none
    settings = {"language": {"tuning": tuning}}
    jobs = folder / "results/tables/jobs.csv"  # which `snakemake profile` writes
    jobs.parent.mkdir(parents=True)
    jobs.touch()
    targets = ("all", "report", "benchmarks", "results/figures/job_times.svg")
    plan = snakemake(folder, "--dry-run", "--cores", "1", *targets, settings=settings)
    assert plan.returncode == 0, plan.stderr
    rules = re.findall(
        r"rule (\w+):\n    input: (.*)\n    output: (.*)\n", plan.stdout + plan.stderr
    )
    return {
        figure: (rule, set(re.findall(r"results/tables/([\w.]+)", inputs)))
        for rule, inputs, outputs in rules
        for figure in re.findall(r"results/figures/(\w+)\.svg", outputs)
    }


def test_every_figure_stands_there_with_its_rule_and_its_tables(rows, drawn):
    assert len(drawn) >= 8
    for figure, made in drawn.items():
        told = [
            (rule, tables)
            for name, rule, tables, _ in rows
            if re.fullmatch(re.sub("<.*?>", r"\\w+", name), figure)
        ]
        assert told == [made], f"docs/figures.md on {figure}"


def test_no_figure_stands_there_that_nothing_draws(rows, drawn):
    assert {rule for _, rule, *_ in rows} == {rule for rule, _ in drawn.values()}


def test_keys_are_those_of_the_configuration(rows):
    known = set(re.findall(r"^\| `([^`]+)`", config.docs(), re.MULTILINE))
    sections = {key.partition(".<name>")[0] for key in known}
    for figure, _, _, keys in rows:
        assert keys is None or set() < keys <= known | sections, figure
