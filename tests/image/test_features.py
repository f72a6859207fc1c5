"""Cached orbits give what the whole model gives, for every method and every augmentation."""

import pytest
import torch

from equitune.actions import Rotate90, RotateFlip, Trivial
from equitune.groups import CyclicGroup
from equitune.image import backbones, features, prediction
from equitune.image.data import Images
from equitune.image.features import as_input, from_orbits, from_pixels
from equitune.image.models import build

METHODS = ("finetune", "finetune_augment", "equitune", "equitune_augment", "lambda_equitune")
SIZE = 32


def frozen(method, action):
    torch.manual_seed(3)
    return build("shufflenet_v2_x0_5", method, action, SIZE, classes=3, frozen=True)


@pytest.mark.parametrize("method", [*METHODS, "equizero"])
@pytest.mark.parametrize("action", [Rotate90(), RotateFlip()], ids=repr)
def test_cached_orbits_give_the_logits_of_the_whole_model(images, method, action):
    model = frozen(method, action)
    augment = method.endswith("augment")
    rows = torch.tensor([3, 0, 7, 7])
    slow = from_pixels(model, images, action if augment else None)
    fast = from_orbits(model, images, action, augment)
    torch.manual_seed(11)  # the same elements are drawn
    expected = slow(rows)
    torch.manual_seed(11)
    torch.testing.assert_close(fast(rows), expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_head_and_not_the_backbone(images):
    model = frozen("equitune", Rotate90())
    from_orbits(model, images, Rotate90(), augment=False)(torch.arange(4)).sum().backward()
    assert all(p.grad is not None for p in model.head.parameters())
    assert all(p.grad is None for p in model.backbone.parameters())


def test_without_group_and_augmentation_one_copy_is_enough(images, monkeypatch):
    seen = []
    original = features.orbit_features
    monkeypatch.setattr(
        features, "orbit_features", lambda *a: seen.append(original(*a)) or seen[-1]
    )
    from_orbits(frozen("finetune", None), images, Trivial(CyclicGroup(1)), augment=False)
    assert seen[0].shape[:2] == (1, len(images))


@pytest.mark.parametrize(
    ("size", "device", "expected"),
    [(32, "cpu", 128), (64, "cpu", 128), (224, "cpu", 3), (4096, "cpu", 1), (224, "cuda", 128)],
)
def test_larger_images_pass_fewer_at_once_on_a_cpu(size, device, expected):
    shape = (3, size // 2, size // 2)
    trunk = backbones.Backbone(torch.nn.Identity(), "x", size // 2, shape, frozenset(), upsample=2)
    assert features.at_once(trunk, torch.device(device)) == expected


@pytest.mark.parametrize("method", [*METHODS, "equizero"])
def test_logits_of_every_copy_come_from_the_orbit(images, method):
    action = RotateFlip()
    model = frozen(method, action).eval()
    orbits = features.orbit_features(model.backbone, images, action, list(range(8)))
    found = prediction.cached_logits(model, orbits, action)
    with torch.no_grad():
        expected = torch.stack([model(as_input(action(g, images.pixels))) for g in range(8)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [*METHODS, "equizero"])
def test_logits_of_every_copy_take_one_pass_each(images, method, monkeypatch):
    action = Rotate90()
    torch.manual_seed(3)
    model = build(
        "shufflenet_v2_x0_5", method, action, SIZE, classes=3
    ).eval()  # the backbone trained, too
    passed = []
    forward = model.backbone.forward
    monkeypatch.setattr(model.backbone, "forward", lambda x: passed.append(len(x)) or forward(x))
    monkeypatch.setattr(prediction, "at_once", lambda *_: 5)  # the last part is smaller
    found = prediction.orbit_logits(model.train(), images, action)
    assert sum(passed) == 4 * len(images)
    with torch.no_grad():
        expected = torch.stack([model(as_input(action(g, images.pixels))) for g in range(4)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_augmentation_moves_each_image_by_its_own_element(images):
    model = frozen("finetune_augment", None).eval()
    logits = from_pixels(model, images, Rotate90())
    rows = torch.arange(len(images))
    torch.manual_seed(5)
    elements = torch.randint(4, (len(rows),))
    torch.manual_seed(5)
    found = logits(rows)
    for row, g in enumerate(elements.tolist()):
        moved = Rotate90()(g, images.pixels[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], model(as_input(moved)))
    assert len(set(elements.tolist())) > 1


def test_pixels_become_numbers_between_zero_and_one(images):
    x = as_input(images.pixels, channels_last=True)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.max() <= 1
    torch.testing.assert_close(x * 255, images.pixels.float())


@pytest.mark.parametrize("channels_last", [False, True])
def test_bfloat16_gives_about_the_same_in_float32(images, channels_last):
    model = build("shufflenet_v2_x0_5", "equitune", Rotate90(), SIZE, classes=3).eval()
    rows = torch.arange(4)
    exact = from_pixels(model, images, None)(rows)
    rough = from_pixels(model, images, None, "bfloat16", channels_last)(rows)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.05)


def test_a_model_that_chooses_by_pixels_is_run_on_every_copy(images):
    model, action = frozen("canonical", Rotate90()), Rotate90()
    few = Images(images.pixels[:3], images.labels[:3])
    logits = prediction.orbit_logits(model, few, action)
    assert logits.shape == (4, 3, 3)
    with torch.no_grad():
        expected = model(as_input(action(1, few.pixels)))
    torch.testing.assert_close(logits[1], expected)
    torch.testing.assert_close(logits[1], logits[0])
    with pytest.raises(ValueError, match="chooses by the input"):
        from_orbits(model, few, action, augment=False)(torch.arange(3))
