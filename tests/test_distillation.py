"""Distillation: the distance from the teacher has two parts, and training lessens it."""

import copy

import pytest
import torch
from small_models import S3, Picture, Square, Two, rows_of
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import equitune
from equitune import distillation
from equitune.actions import Regular, Rotate90, TokenPermutation, Trivial
from equitune.config import Training
from equitune.equivariance import equivariance_error
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)
PLAN = Training(steps=40, batch_size=8, learning_rate=1e-2, optimizer="adamw")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def images(count=12):
    return torch.randn(count, 2, 5, 5)


CASES = {
    "maps": (Picture, ROTATE, ROTATE, (6, 2, 5, 5)),
    "classes": (lambda: Picture(classes=True), ROTATE, KEEP, (6, 2, 5, 5)),
    "vectors": (lambda: Square(6), Regular(S3), Regular(S3), (4, 6, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_distance_is_that_from_the_teacher_and_the_own_defect(case):
    """All three written out, one example and one element at a time, in float64."""
    make, takes, gives, shape = CASES[case]
    teacher, student = EquiTuned(make().double(), takes, gives), make().double()
    x, group = torch.randn(*shape).double(), takes.group
    found = equitune.distillation_distance(teacher, student, x)
    total = own = defect = 0.0
    with torch.no_grad():
        for one in x.split(1):
            target = teacher(one)
            back = [gives.inverse(g, student(takes(g, one))) for g in group.elements]
            mean = sum(back) / group.order
            own += (mean - target).square().sum().item()
            for g in group.elements:
                moved = student(takes(g, one))
                total += (moved - gives(g, target)).square().sum().item() / group.order
                defect += (moved - gives(g, mean)).square().sum().item() / group.order
    wanted = [value / len(x) for value in (total, own, defect)]
    assert [found.total, found.teacher, found.defect] == pytest.approx(wanted, rel=1e-12)
    assert found.total == pytest.approx(found.teacher + found.defect, rel=1e-12)
    assert min(found.teacher, found.defect) > 1e-6  # neither stands for the whole


def test_a_network_is_only_its_defect_from_its_own_average():
    network = Picture().double()
    x = images().double()
    found = equitune.distillation_distance(EquiTuned(network, ROTATE, ROTATE), network, x)
    assert found.teacher <= 1e-24
    assert found.total == pytest.approx(found.defect, rel=1e-12)
    again = equitune.distillation_distance(EquiTuned(network, ROTATE, ROTATE), again_of(network), x)
    assert again.defect <= 1e-24  # an equivariant student has none


def again_of(network):
    return EquiTuned(copy.deepcopy(network), ROTATE, ROTATE)


def test_the_loss_is_the_distance_in_the_mean_over_the_elements(monkeypatch):
    teacher, student, x = EquiTuned(Picture(), ROTATE, ROTATE), Picture(), images()
    inputs = distillation._bound(teacher, x)
    losses = []
    for g in ROTATE.group.elements:
        drawn = torch.full((len(x),), g)
        monkeypatch.setattr(torch, "randint", lambda *_, drawn=drawn: drawn)
        losses.append(distillation._loss(teacher, student, inputs).item())
    entries = 3 * 5 * 5
    total = equitune.distillation_distance(teacher, student, x).total
    assert sum(losses) / len(losses) * entries == pytest.approx(total, rel=1e-5)


def test_a_student_comes_nearer_and_the_teacher_stays():
    teacher = EquiTuned(Picture(classes=True), ROTATE, KEEP)
    teacher.train()
    student, x = copy.deepcopy(teacher.module), images(32)
    weights = copy.deepcopy(teacher.state_dict())
    before = equitune.distillation_distance(teacher, student, x)
    found = equitune.distill(teacher, student, x, PLAN)
    assert found == equitune.distillation_distance(teacher, student, x)
    assert found.total < before.total / 4
    assert 0 < found.defect < before.defect
    assert float(equivariance_error(student, ROTATE, KEEP, x).max()) > 0
    assert teacher.training
    assert not student.training
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, weights[key])
    assert str(found).startswith("distance ")


def test_a_loader_gives_the_weights_that_its_tensors_give():
    teacher, x = EquiTuned(Picture(), ROTATE, ROTATE), images(20)
    first, second = (copy.deepcopy(teacher.module) for _ in range(2))
    plan = Training(steps=4, batch_size=6, learning_rate=1e-2)
    equitune.distill(teacher, first, x, plan, seed=3)
    labelled = TensorDataset(x, torch.arange(20))  # labels are left out
    equitune.distill(teacher, second, DataLoader(labelled, batch_size=2), plan, seed=3)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    third = copy.deepcopy(teacher.module)
    equitune.distill(teacher, third, x, plan, seed=4)
    assert not torch.equal(third.conv.weight, first.conv.weight)


def test_several_inputs_and_held_out_ones():
    teacher = EquiTuned(Two(), (ROTATE, KEEP), ROTATE)
    data, other = ((images(n), torch.randn(n, 5)) for n in (16, 5))
    student = copy.deepcopy(teacher.module)
    found = equitune.distill(teacher, student, data, PLAN, held_out=other)
    assert found == equitune.distillation_distance(teacher, student, *other)


class Stream(IterableDataset):
    def __iter__(self):
        yield from images()


@pytest.mark.parametrize("fault", ["no actions", "shared weights", "stream", "two inputs"])
def test_bad_arguments_are_one_line(fault):
    teacher = EquiTuned(Picture(), ROTATE, ROTATE)
    student, x = copy.deepcopy(teacher.module), images()
    given, error, said = {
        "no actions": ((student, student, x), TypeError, "teacher is Picture: expected an EquiTu"),
        "shared weights": ((teacher, teacher.module, x), ValueError, "has weights of the teacher"),
        "stream": ((teacher, student, DataLoader(Stream())), ValueError, "loads Stream, which has"),
        "two inputs": ((teacher, student, (x, x)), ValueError, "2 inputs for 1 input actions"),
    }[fault]
    with pytest.raises(error, match=said) as refused:
        equitune.distill(*given, PLAN)
    assert "\n" not in str(refused.value)


def test_lengths_that_change_are_refused():
    """Of such an action the parts do not sum up."""
    words = TokenPermutation(S3, rows_of(S3))
    double = words.on_logits()

    class Larger(type(double)):
        def inverse(self, g, y):
            return 2 * super().inverse(g, y)

        def unorbit(self, ys):
            return 2 * super().unorbit(ys)

    larger = copy.copy(double)
    larger.__class__ = Larger
    embed = nn.Sequential(nn.Embedding(words.size, 4), nn.Linear(4, words.size))
    teacher = EquiTuned(embed, words, larger)
    with pytest.raises(ValueError, match="changes the lengths of outputs"):
        equitune.distillation_distance(teacher, embed, torch.randint(words.size, (3, 4)))
