"""The image rules end to end on a small slice."""

import pytest

from equitune.results import tables

NETWORK = "shufflenet_v2_x0_5"  # of the slice
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
    assert (table[~invariant]["equivariance_error"] > 1e-4).all()


def test_a_second_group_is_planned_for_each_method_that_has_one(plan, small, tmp_path):
    small["image"]["groups"] = ["rotate90", "flip"]
    _, jobs = plan(tmp_path, "image", settings=small)
    assert jobs["transform_images"] == jobs["forecast_image_gain"] == 2
    assert jobs["tune_image"] == 1 + 2 * 2  # pretrained has none


def test_every_figure_is_drawn(finished):
    names = ["image_accuracy", "image_rotation", "image_cost", f"image_orbit_digits_{NETWORK}"]
    for name in names:
        for suffix in ("svg", "pdf", "csv"):
            assert (finished / f"results/figures/{name}.{suffix}").stat().st_size > 100


@pytest.mark.slow
def test_a_student_and_its_teacher_come_to_figures(snakemake, plan, small, tmp_path):
    """The teacher is trained though the methods do not name it."""
    small["image"] |= {"architectures": [NETWORK], "methods": ["finetune_augment", "distilled"]}
    _, jobs = plan(tmp_path, "image", settings=small)
    assert jobs["tune_image"] == 3
    done = snakemake(tmp_path, "--cores", "1", "image", settings=small)
    assert done.returncode == 0, done.stderr
    table = tables.read(tmp_path / "results/tables/image.csv", tables.IMAGE_COLUMNS)
    assert set(table["method"]) == {"finetune_augment", "distilled"}
    assert (table["equivariance_error"] > 1e-4).all()  # a student has a defect, which is told
    gains = tables.read(tmp_path / "results/tables/image_gains.csv", tables.IMAGE_GAIN_COLUMNS)
    assert set(zip(gains["method"], gains["against"], strict=True)) == {
        ("distilled", "finetune_augment")
    }
    names = ["image_accuracy", "image_rotation", "image_gains", f"image_orbit_digits_{NETWORK}"]
    for name in names:
        assert (tmp_path / f"results/figures/{name}.svg").stat().st_size > 100
