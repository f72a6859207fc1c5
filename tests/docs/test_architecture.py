"""The house as docs/architecture.md shows it: imports go down, never round in a circle."""

import importlib.util
from graphlib import CycleError, TopologicalSorter

import pytest

EXPERIMENTS = ("scan", "image", "language")


@pytest.fixture(scope="module")
def house(root):
    """The script that draws the picture."""
    file = root / "docs/pictures/architecture.py"
    spec = importlib.util.spec_from_file_location("architecture", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_module_imports_itself_round_a_circle(house):
    try:
        TopologicalSorter(house.imports()).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' → '.join(error.args[1])}")


def test_imports_go_down(house):
    order = list(house.FLOORS)
    for a, found in house.imports().items():
        for b in found:
            assert order.index(house.floor(a)) <= order.index(house.floor(b)), f"{a} imports {b}"


def test_experiments_do_not_know_each_other(house):
    for a, found in house.imports().items():
        for b in found:
            rooms = a.split(".")[1:2], b.split(".")[1:2]
            if house.floor(a) == house.floor(b) == "experiments":
                assert rooms[0] == rooms[1], f"{a} imports {b}"


def test_the_core_knows_of_services_only_how_files_are_written_and_noise_is_seeded(house):
    below = {
        b
        for a, found in house.imports().items()
        for b in found
        if house.floor(a) == "core" and house.floor(b) != "core"
    }
    assert below == {"equitune.files", "equitune.determinism", "equitune.storable"}


def test_every_experiment_stands_on_its_floor(house):
    for name in EXPERIMENTS:
        assert house.floor(f"equitune.{name}.data") == "experiments"
        assert house.floor(f"equitune.{name}.cli") == "command"


def test_imports_inside_functions_count_and_those_for_types_do_not(house):
    found = house.imports()
    assert "equitune.scan.experiment" in found["equitune.scan.cli"]
    assert found["equitune"] == set()  # names at first use, and for types


def test_the_picture_is_current(house, root, tmp_path):
    house.main(tmp_path / "architecture.svg")
    drawn = (tmp_path / "architecture.svg").read_bytes()
    advice = "draw it again: python docs/pictures/architecture.py"
    assert drawn == (root / "docs/pictures/architecture.svg").read_bytes(), advice
