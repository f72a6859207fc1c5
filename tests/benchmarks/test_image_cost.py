"""The arithmetic of the cost benchmark; how long anything takes is not tested."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equitune import EquiTuned
from equitune.actions import Rotate90, Trivial
from equitune.equivariance import equivariance_error
from equitune.image.data import Images

SIZE, CLASSES = 16, 10


@pytest.fixture(scope="module")
def cost(script):
    return script("image_cost")


@pytest.fixture
def images():
    """Four images of noise."""
    pixels = torch.randint(256, (4, 3, SIZE, SIZE), dtype=torch.uint8)
    return Images(pixels, torch.arange(4))


def wide(outputs=CLASSES):
    """Large activations: images (batch, 3, SIZE, SIZE) to (batch, outputs)."""
    convolution = nn.Conv2d(3, 64, 3, padding=1)
    return nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), nn.Linear(64 * SIZE**2, outputs))


def test_peak_is_weights_gradients_and_momentum_where_activations_are_small(cost, images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 1000), nn.Linear(1000, CLASSES))
    weights = sum(p.nbytes for p in model.parameters())
    assert 3 * weights <= cost.peak_bytes(model, images) < 3.2 * weights


def test_peak_has_activations_beside_weights_gradients_and_momentum(cost, images):
    model = wide(4 * CLASSES)  # here the step without momentum would hold less
    weights, activation = model[-1].weight.nbytes, model[0](images.pixels.float()).nbytes
    assert cost.peak_bytes(model, images) >= 3 * weights + activation


def test_peak_grows_with_the_copies_that_pass_together(cost, images):
    rotate = Rotate90()
    peaks = [
        cost.peak_bytes(EquiTuned(wide(), rotate, Trivial(rotate.group), chunk_size=chunk), images)
        for chunk in (1, 2, 4)
    ]
    assert peaks[0] < peaks[1] < peaks[2]


def test_peak_is_the_same_after_other_records(cost, images):
    first, *others = [cost.peak_bytes(wide(), images) for _ in range(3)]
    assert others == [first, first]


def test_training_step_descends_the_mean_loss_of_all_images(cost, images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, CLASSES))
    logits = model(images.pixels / 255)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, images.labels), model[1].weight)
    expected = model[1].weight.detach() - cost.TRAINING.learning_rate * gradient
    cost.training_step(model, images)()
    torch.testing.assert_close(model[1].weight.detach(), expected, rtol=0, atol=1e-7)


def test_bfloat16_without_the_instructions_is_a_row_that_says_so(cost, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(cost, "ARCHITECTURES", ("resnet18",))
    layouts, precisions = cost.precision(1, size=32, batch=1)
    assert (layouts["numerator"], layouts["n"]) == ("training step, float32, contiguous", 1)
    assert (precisions["n"], precisions["at_least"]) == (0, 2.5)
    assert precisions["note"] == "the processor has no avx512_bf16 or amx_bf16"


def test_layouts_are_compared_of_the_plain_and_the_equituned_network(cost, monkeypatch):
    given, step = [], cost.training_step
    monkeypatch.setattr(cost, "SIDES", {"shufflenet_v2_x0_5": SIZE})

    def kept(model, images, **settings):
        given.append(model)
        return step(model, images, **settings)

    monkeypatch.setattr(cost, "training_step", kept)
    plain, equituned = cost.layout(1, batch=2)
    assert [row["order"] for row in (plain, equituned)] == [1, 4]
    assert plain["numerator"] == "training step, contiguous"
    lasts = [
        all(
            p.is_contiguous(memory_format=torch.channels_last)
            for p in model.parameters()
            if p.ndim == 4
        )
        for model in given
    ]
    assert lasts == [False, True, False, True]


def test_a_peer_that_is_not_installed_is_a_row_that_says_so(cost, monkeypatch):
    plain, rotate = wide(), Rotate90()
    models = {"plain": plain, "EquiTuned": EquiTuned(plain, rotate, Trivial(rotate.group))}
    absent = {"escnn": "not installed: no escnn"}
    monkeypatch.setattr(cost.image_peers, "models", lambda size: (models, absent))
    rate, error, missing = cost.peers(1, sizes=(SIZE,), batch=2)
    assert (rate["benchmark"], rate["numerator"], rate["n"]) == ("peer_rate", "EquiTuned", 1)
    assert error["value"] < 1e-5 < error["denominator_value"]
    assert (missing["numerator"], missing["n"]) == ("escnn", 0)
    assert missing["note"] == "not installed: no escnn"


def test_a_peer_is_compared_with_a_network_trained_as_long_where_it_was_trained(cost, monkeypatch):
    plain, trained, soft = wide(), wide(), wide()
    models = {"plain": plain, "soft": soft, "plain, trained": trained}
    monkeypatch.setattr(cost.image_peers, "models", lambda size: (models, {}))
    monkeypatch.setattr(cost.image_peers, "REFERENCES", {"soft": "plain, trained"})
    monkeypatch.setattr(cost, "alternate", lambda works, rounds: [(1.0, 2.0, 4.0)])
    rate, error = cost.peers(1, sizes=(SIZE,), batch=2)
    assert (rate["numerator"], rate["denominator"]) == ("soft", "plain, trained")
    assert (rate["value"], rate["denominator_value"]) == (1.0, 0.5)
    rotate = Rotate90()
    pixels = cost.digits(SIZE).pixels[:2].float() / 255
    errors = [
        equivariance_error(model, rotate, Trivial(rotate.group), pixels).max().item()
        for model in (soft, trained)
    ]
    assert [error["value"], error["denominator_value"]] == pytest.approx(errors)


@pytest.mark.parametrize("name", ["published loop", "ttach"])
def test_the_loop_and_test_time_augmentation_have_the_mean_of_all_copies(cost, images, name):
    if name == "ttach":
        pytest.importorskip("ttach", reason="test-time augmentation needs ttach, a peer only")
    other = {"published loop": cost.image_peers.PaperLoop, "ttach": cost.image_peers.augmented}
    rotate, plain = Rotate90(), wide().double()
    mean = EquiTuned(plain, rotate, Trivial(rotate.group))
    pixels = images.pixels.double() / 255
    assert (plain(pixels) - mean(pixels)).abs().max() > 1e-3
    torch.testing.assert_close(other[name](plain)(pixels), mean(pixels), rtol=0, atol=1e-12)


def test_a_penalty_stands_beside_the_loss_of_every_step(cost, monkeypatch):
    soft = cost.image_peers.image_soft
    monkeypatch.setattr(soft, "BATCH", 2)
    pixels = torch.randint(256, (4, 3, SIZE, SIZE), dtype=torch.uint8)
    images = Images(pixels, torch.arange(4))
    free, held = (nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, CLASSES)) for _ in range(2))
    held.load_state_dict(free.state_dict())
    before = free[1].weight.detach().clone()
    seen = []

    def penalty(batch):
        seen.append(batch)
        return 9.0 * held[1].weight.square().sum()

    soft.train(free, images)
    soft.train(held, images, penalty)
    torch.testing.assert_close(torch.cat(seen), pixels / 255)
    assert not torch.equal(free[1].weight, before)
    assert held[1].weight.norm() < 0.9 * free[1].weight.norm()


def test_the_soft_network_is_nearer_to_invariance_than_one_trained_as_long(cost, monkeypatch):
    pytest.importorskip("equivariance_regularizer", reason="a peer only, which is not installed")
    soft = cost.image_peers.image_soft
    monkeypatch.setattr(soft, "STEPS", 20)
    monkeypatch.setattr(soft, "RATE", 1e-3)  # a linear head of so many inputs takes no larger one
    rotate = Rotate90()
    pixels = cost.digits(SIZE).pixels[:8].float() / 255
    errors = [
        equivariance_error(model.eval(), rotate, Trivial(rotate.group), pixels).mean().item()
        for model in soft.pair(wide(), SIZE)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_the_floor_is_a_plain_step_on_all_copies(cost, monkeypatch):
    seen = []
    monkeypatch.setattr(cost, "ARCHITECTURES", ("resnet18",))
    monkeypatch.setattr(cost, "training_step", lambda model, images: seen.append(len(images)))
    monkeypatch.setattr(cost, "alternate", lambda works, rounds: [(2.0, 1.0)])
    (row,) = cost.floor(1, size=32, batch=2)
    assert seen == [2, 8]
    assert (row["ratio"], row["order"], row["at_most"]) == (2, 4, 1.05)


def test_cost_grows_with_the_group_from_the_identity(cost, monkeypatch):
    orders = list(cost.GROUPS.values())
    monkeypatch.setattr(cost, "alternate", lambda works, rounds: [tuple(map(float, orders))])
    rows = list(cost.order(1, size=32, batch=2))
    ratios = {(row["numerator"], row["order"]): row["ratio"] for row in rows}
    for what in ("forward pass", "training step"):
        assert [ratios[what, order] for order in orders] == orders
        assert ratios[f"slope of a {what} over |G|", 8] == pytest.approx(1)


def test_the_copy_that_is_chosen_is_timed_beside_all_copies(cost, monkeypatch):
    monkeypatch.setattr(cost, "alternate", lambda works, rounds: [(1.1, 3.9, 1.0)] * rounds)
    chosen, mean, error = cost.canonical(2)
    assert (chosen["ratio"], chosen["at_most"]) == pytest.approx((1.1, 1.3))
    assert (mean["numerator"], mean["ratio"]) == ("forward pass, equi-tuned", pytest.approx(3.9))
    assert error["value"] < 1e-6 < error["denominator_value"]
