"""Figures of tables with methods that this project does not have."""

import pytest

from equitune import methods
from equitune.results import catalogue, drawing

MINE = "spectral $x_1$"


@pytest.fixture
def drawn(tmp_path, published, caplog):
    """A function that draws a figure from tables; the names in its numbers come back."""

    def draw(name, **given):
        files = {}
        for table, rows in ({"published": published} | given).items():
            files[table] = tmp_path / f"{table}.csv"
            rows.to_csv(files[table], index=False)
        caplog.clear()
        drawing.draw(catalogue.FIGURES[name], files, tmp_path / "out")
        (shown,) = (tmp_path / "out").glob(f"{name}*.csv")
        assert (tmp_path / "out" / f"{name}.svg").exists() or catalogue.FIGURES[name].cells
        return shown.read_text()

    return draw


def with_mine(table, known):
    """The table with the runs of one method under a name of somebody else's."""
    return table.assign(method=table["method"].replace({known: MINE}))


@pytest.mark.parametrize("figure", ["image_accuracy", "image_cost"])
def test_images(figure, drawn, images):
    assert MINE in drawn(figure, image=with_mine(images, "finetune_augment"))


def test_rotations(drawn, elements):
    assert MINE in drawn("image_rotation", image_elements=with_mine(elements, "finetune"))


@pytest.mark.parametrize("figure", ["language_regard"])
def test_regard(figure, drawn, regard):
    assert MINE in drawn(figure, regard=with_mine(regard, "relaxed"))


@pytest.mark.parametrize("figure", ["language_gaps", "language_fairness"])
def test_fairness(figure, drawn, fairness):
    assert MINE in drawn(figure, fairness=with_mine(fairness, "relaxed"))


def test_it_is_said_and_forgotten(drawn, images, caplog):
    before = dict(methods.METHODS)
    with caplog.at_level("INFO", logger="equitune"):
        drawn("image_accuracy", image=with_mine(images, "equitune"))
    assert [line for line in caplog.messages if MINE in line]
    assert before == methods.METHODS


def test_a_name_that_is_nearly_a_known_one_is_asked_about(drawn, images, caplog):
    table = images.assign(method=images["method"].replace({"equitune": "equitunee"}))
    drawn("image_accuracy", image=table)
    assert "did you mean 'equitune'" in caplog.text


def test_published_methods_are_drawn_in_silence(drawn, images, published, caplog):
    theirs = published.assign(method="theirs")
    drawn("image_accuracy", image=images, published=theirs)
    assert "theirs" not in caplog.text
    drawn("image_accuracy", image=with_mine(images, "equitune"), published=theirs)
    (line,) = (line for line in caplog.messages if "drawn as it is" in line)
    assert MINE in line


def test_methods_of_others_have_colours_of_their_own():
    found = ["equitune", *"abcdef"]
    with methods.with_foreign(found) as added:
        assert added == [*"abcdef"]
        assert len({methods.METHODS[name].colour for name in found}) == len(found)
    assert "a" not in methods.METHODS
