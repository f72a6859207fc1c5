"""Every random generator comes back to where it was, and the levels set torch up."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from equitune.run import determinism


@pytest.fixture(autouse=True)
def own_level(monkeypatch):
    monkeypatch.setattr(determinism, "_level", "seeded")
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", "")
    yield
    determinism._level = "seeded"
    determinism.apply()


def draws():
    return random.random(), np.random.rand(), np.random.standard_normal(), float(torch.rand(()))


def test_a_seed_decides_all_generators():
    first = determinism.seeded(3)
    drawn = draws()
    again = determinism.seeded(3)
    assert draws() == drawn
    assert torch.equal(first.get_state(), again.get_state())
    determinism.seeded(4)
    assert not set(draws()) & set(drawn)


def test_seeds_of_more_than_32_bits_are_taken():
    determinism.seeded(2**40 + 1)


def test_generators_go_back_to_where_they_were_found(tmp_path):
    determinism.seeded(0)
    draws()
    torch.save(determinism.random_states(), tmp_path / "states")
    expected = draws()
    draws()
    # as a state file is read: nothing in it can run code
    determinism.restore_random_states(torch.load(tmp_path / "states", weights_only=True))
    assert draws() == expected


@pytest.mark.parametrize(
    ("level", "precision", "trial", "strict"),
    [
        ("fast", "high", True, False),
        ("seeded", "highest", False, False),
        ("bitwise", "highest", False, True),
    ],
)
def test_levels_set_torch_up(level, precision, trial, strict):
    determinism.choose(level)
    determinism.apply()
    assert determinism.level() == level
    assert torch.get_float32_matmul_precision() == precision
    assert torch.backends.cudnn.benchmark is trial
    assert torch.are_deterministic_algorithms_enabled() is strict


def test_bitwise_asks_cublas_for_a_workspace_of_its_own(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    determinism.choose("seeded")
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    determinism.choose("bitwise")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_torch_as_it_starts_is_set_up_without_its_compiler():
    """Importing it takes as long as importing torch."""
    code = (
        "import sys; from equitune.run import determinism; determinism.apply(); "
        "print([name for name in ('torch._dynamo', 'torch._inductor') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
