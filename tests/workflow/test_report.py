"""The report as a reader opens it: in a browser, with nothing missing and nothing complaining."""

import html
import json
import re
import shutil
import subprocess

import pytest
from docutils.core import publish_string

from equitune.results import catalogue

pytestmark = pytest.mark.workflow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=8000",
)
SNAKEMAKES_OWN = "cdn.tailwindcss.com should not be used in production"  # the file is embedded
FIRST_PAGE = ("scan_accuracy", "image_accuracy", "language_gaps")


@pytest.fixture(scope="module")
def opened(report, tmp_path_factory):
    """What a browser makes of it, without scripts, and its console."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium here to open the report with")
    profile = tmp_path_factory.mktemp("profile")
    done = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={profile}", "--dump-dom", report.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    page = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    return page, re.findall(r'CONSOLE[:(]\d+\)?\] "(.*)", source', done.stderr)


def data(report, name):
    """One of the objects that the page is drawn from."""
    script = rf'<script id="{name}">\s*var \w+ = (.*?);\s*</script>'
    return json.loads(re.search(script, report.read_text(), flags=re.DOTALL)[1])


def words(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_every_figure_is_in_it_with_a_caption(report):
    results = data(report, "results")
    drawn = {f"results/figures/{file.name}" for file in (report.parent / "figures").glob("*.svg")}
    assert drawn
    assert drawn <= set(results)
    for name in FIRST_PAGE:
        first, *_ = catalogue.FIGURES[name].caption.split(". ")
        assert first in words(results[f"results/figures/{name}.svg"]["caption"])
    for path, result in results.items():
        assert result["data_uri"].startswith("data:"), path
        assert len(words(result["caption"])) > 60, path
        assert set(result["labels"]) == {"what", "kind"}, path


def test_captions_can_be_read_whole(root):
    files = {*(root / "workflow/report").glob("*.rst")} - {
        root / "workflow/report" / name  # templates
        for name in ("workflow.rst", "figure.rst")
    }
    captions = {file.name: file.read_text() for file in files}
    assert captions
    captions |= {figure.name: figure.caption for figure in catalogue.FIGURES.values()}
    for name, text in captions.items():
        strict = {"halt_level": 2, "report_level": 2}
        publish_string(text, source_path=name, settings_overrides=strict)


def test_the_first_page_says_what_was_run_and_what_was_claimed(report):
    description = data(report, "workflow-desc")
    assert "system-message" not in description  # what docutils could not read
    text = words(description)
    assert "add_jump with GRU" in text
    assert re.search(r"commit of the models [0-9a-f]{12}|not under version control", text)
    assert "device cpu" in text
    assert "torch 2" in text
    assert "Equi-tuned GRU solves add jump, where the plain one fails. n = " in text
    # what was found comes first, then the claims, and only then a table
    assert text.index("decodes more test commands right") < text.index("Tested: in every seed")
    assert description.index("rule and numbers") < description.index("<table")
    assert "number of training examples is 150, in the paper's run 12029" in text
    assert '"per_prompt": 20' in text  # the whole configuration


def test_the_browser_shows_the_first_page_and_finds_nothing_wrong(report, opened):
    page, console = opened
    assert [message for message in console if SNAKEMAKES_OWN not in message] == []
    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.DOTALL)
    assert len(figures) == len(FIRST_PAGE)
    results = data(report, "results")
    for name, figure in zip(FIRST_PAGE, figures, strict=True):
        assert "<svg" in figure, name
        caption = words(results[f"results/figures/{name}.svg"]["caption"])
        assert caption in words(figure.partition("<figcaption>")[2]), name
    pictures = re.findall(r'<img[^>]*\ssrc="([^"]{0,5})', page)
    assert set(pictures) == {"data:"}
    categories = "Claims and provenance", "Compositional generalization", "Image classification"
    for category in (*categories, "Fairness of language models"):
        assert category in page
