"""The image rules end to end on a small slice."""

import pytest

from equitune.results import tables

pytestmark = pytest.mark.workflow


def test_the_table_has_a_row_for_each_run(finished):
    table = tables.read(finished / "results/tables/image.csv", tables.IMAGE_COLUMNS)
    runs = sorted(zip(table["method"], table["group"], strict=True))
    assert runs == [
        ("equitune", "rotate90"),
        ("finetune_augment", "rotate90"),
        ("pretrained", "identity"),
    ]
    invariant = table["method"] == "equitune"
    assert (table[invariant]["orbit_agreement"] == 1).all()
    assert (table[invariant]["equivariance_error"] <= 1e-5).all()
    assert (table[~invariant]["equivariance_error"] > 1e-3).all()


def test_a_second_group_is_planned_for_each_method_that_has_one(plan, small, tmp_path):
    small["image"]["groups"] = ["rotate90", "flip"]
    _, jobs = plan(tmp_path, "image", settings=small)
    assert jobs["image_transform"] == jobs["image_forecast"] == 2
    assert jobs["image_tune"] == 1 + 2 * 2  # pretrained has none


def test_every_figure_is_drawn(finished):
    names = ["image_accuracy", "image_rotation", "image_cost", "image_orbit_digits_resnet18"]
    for name in names:
        for suffix in ("svg", "pdf", "csv"):
            assert (finished / f"results/figures/{name}.{suffix}").stat().st_size > 100
