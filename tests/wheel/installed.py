"""What holds of an installed package; test_wheel.py copies it beside the tests that run there."""

import os
import sys
from pathlib import Path

import torch
from torch import nn

import equitune
from equitune.io.resources import RESOURCES


def test_the_package_is_the_installed_one():
    assert Path(equitune.__file__).is_relative_to(sys.prefix)
    assert not any((Path(folder) / "equitune").exists() for folder in ("", ".."))


def test_resources_are_inside_the_package():
    assert RESOURCES.parent == Path(equitune.__file__).parent
    assert (RESOURCES / "sources.csv").is_file()


def test_what_the_rules_start_can_be_executed():
    assert os.access(Path(equitune.__file__).parent / "plan/equitune.sh", os.X_OK)


def test_a_model_becomes_invariant():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 5)
    model = nn.Sequential(*layers)
    rotate = equitune.actions.Rotate90()
    keep = equitune.actions.Trivial(rotate.group)
    invariant = equitune.EquiTuned(model, rotate, keep)
    images = torch.rand(2, 3, 16, 16)
    assert equitune.equivariance_error(model, rotate, keep, images).max() > 1e-2
    assert equitune.equivariance_error(invariant, rotate, keep, images).max() < 1e-5
