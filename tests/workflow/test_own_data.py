"""The workflow plans what docs/own_data.md configures, in a folder with the data of the page."""

from pathlib import Path

import pages
import pytest
import yaml

pytestmark = pytest.mark.workflow


def test_the_workflow_plans_texts_of_another_system(root, project, tmp_path, monkeypatch):
    """Of an axis without a lexicon: only the symmetric scorer is left out."""
    monkeypatch.chdir(tmp_path)
    blocks = pages.blocks(root / "docs/own_data.md")
    (mine,) = (b for b in blocks if b.language == "yaml" and "kind: texts" in b.text)
    made = [b.text for b in blocks if b.language == "python" and ".write_text(" in b.text]
    page = {"Path": Path}
    for text in made:
        if "answers.csv" in text or "my_scorer.py" in text:
            exec(text, page)
    assert Path("answers.csv").is_file()
    settings = yaml.safe_load(mine.text)["language"]
    (axis,) = settings["sources"]["bot"]["axes"]
    assert (
        axis not in yaml.safe_load(Path("config/config.yaml").read_text())["language"]["lexicons"]
    )
    Path("mine.yaml").write_text(mine.text)
    code, said = project("snakemake -n -p --cores 1 language --configfile mine.yaml")
    assert code == 0, said
    (line,) = (line for line in said.splitlines() if "language evaluate" in line)
    assert "--axes" not in line
