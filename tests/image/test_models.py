"""Classifiers are invariant, hold every part once, and their methods do what they are called."""

import copy
import functools
import importlib.util

import pytest
import torch
from torch import nn

from equitune import actions, equivariance_error
from equitune.config import IMAGE_METHODS
from equitune.groups import CyclicGroup
from equitune.image import models
from equitune.image.backbones import split
from equitune.image.models import SharedHead, build, importance
from equitune.methods import names

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)

ROTATE = actions.Rotate90()
FOUR = ["alexnet", "resnet18", "vgg11_bn", "densenet121"]
NO_GROUP = names("image", combine=None)  # their models see one copy


def make(method="equitune", architecture="resnet18", size=32, **settings):
    torch.manual_seed(0)
    return build(architecture, method, ROTATE, size, classes=3, **settings)


@functools.cache
def finished(method="equitune", head="shared"):
    """A small model in evaluation mode; no test changes it."""
    return make(method, head=head).eval()


def images(count=2, size=32):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_the_shared_head_begins_as_average_pooling():
    head, features = SharedHead(5, 7, 3), torch.randn(2, 5, 7)
    torch.testing.assert_close(head(features), head.classify(features.mean(2)))
    nn.init.normal_(head.pool.weight)
    assert not torch.allclose(head(features), head.classify(features.mean(2)))


def test_the_linear_head_is_average_pooling_and_one_layer():
    model = make("finetune", size=64, head="linear").eval()
    assert (model.backbone.positions, model.backbone.shape) == (1, (512, 2, 2))
    with torch.no_grad():
        maps = model.backbone.body((images(size=64) - model.backbone.mean) / model.backbone.std)
        expected = maps.mean((2, 3)) @ model.head.weight.T + model.head.bias
        torch.testing.assert_close(model(images(size=64)), expected)
    assert sum(p.numel() for p in model.head.parameters()) == 3 * 513


@pytest.mark.parametrize("architecture", FOUR)
def test_logits_are_invariant_to_quarter_turns(architecture):
    model = make("equitune", architecture, 64).eval()
    keep = actions.Trivial(ROTATE.group)
    plain = model.backbone
    with torch.no_grad():
        assert equivariance_error(model, ROTATE, keep, images(size=64)).max() <= 1e-5
        assert equivariance_error(plain, ROTATE, keep, images(size=64)).max() > 1e-4
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert model(images(size=64)).shape == (2, 3)


@pytest.mark.parametrize("method", [m for m in IMAGE_METHODS if m not in NO_GROUP])
@pytest.mark.parametrize("head", ["shared", "linear", "own"])
def test_every_method_with_a_group_is_invariant_with_either_head(method, head):
    error = equivariance_error(
        finished(method, head), ROTATE, actions.Trivial(ROTATE.group), images()
    )
    assert error.max() <= 1e-5


@pytest.mark.parametrize("method", NO_GROUP)
def test_a_method_without_a_group_is_the_plain_model(method):
    model = finished(method)
    assert model.features.group == CyclicGroup(1)
    expected = model.head(model.backbone(images()))
    assert torch.equal(model(images()), expected)
    torch.manual_seed(0)
    without = build("resnet18", method, None, 32, classes=3).eval()
    assert torch.equal(without(images()), expected)


def test_the_mean_of_features_is_the_mean_of_logits_of_a_linear_head():
    model = finished("equitune")
    each = [model.head(model.backbone(ROTATE(g, images()))) for g in range(4)]
    torch.testing.assert_close(model(images()), torch.stack(each).mean(0))


def test_lambda_weights_are_positive_and_one_for_each_copy():
    model = finished("lambda_equitune")
    orbit = model.orbit_features(images())
    weights = model.features.combine.net(orbit.flatten(0, 1)).reshape(4, 2, 1, 1)
    assert (weights > 0).all()
    assert weights.std(0).min() > 0
    expected = (weights * orbit).sum(0) / weights.sum(0)
    torch.testing.assert_close(model(images()), model.head(expected))


def test_the_weight_sees_the_mean_over_positions():
    net, features = importance(5), torch.randn(2, 5, 7)
    assert net(features).shape == (2, 1)
    torch.testing.assert_close(net(features), net(features.mean(2, keepdim=True)))


def test_equizero_takes_the_copy_of_which_its_head_is_surest():
    model = make("equizero").eval()
    model.head.classify.weight.data.mul_(30)  # apart from each other
    each = model.head(model.orbit_features(images(4)).flatten(0, 1)).reshape(4, 4, 3)
    entropies = torch.distributions.Categorical(logits=each).entropy()
    expected = each[entropies.argmin(0), torch.arange(4)]
    torch.testing.assert_close(model(images(4)), expected)
    assert not torch.allclose(expected, each.mean(0))


def test_canonical_runs_the_copy_whose_pixels_score_least():
    model, x = finished("canonical"), images(4)
    scores = torch.stack([model.features.combine.score(ROTATE(g, x))[:, 0] for g in range(4)])
    best = scores.argmin(0)
    expected = model.head(model.backbone(ROTATE(best, x)))
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(model(ROTATE(1, x)), expected)


def test_a_copy_of_equizero_scores_with_its_own_head():
    model = make("equizero")
    twin = copy.deepcopy(model)
    assert twin.features.combine.score.head is twin.head
    assert twin.head is not model.head


@pytest.mark.parametrize("method", IMAGE_METHODS)
@pytest.mark.parametrize("head", ["shared", "own"])
def test_every_part_is_registered_once(method, head):
    model = finished(method, head)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len(list(model.parameters()))
    kinds = {name.partition(".")[0] for name in names}
    assert kinds == {"features", "head"}
    backbone = model.backbone.body.state_dict()
    assert {f"features.module.body.{key}" for key in backbone} <= model.state_dict().keys()
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any(module.training for module in model.modules())
    assert ("features.combine.net.1.weight" in names) == (method == "lambda_equitune")


def test_weights_come_back_by_the_state_dict():
    model, other = make("lambda_equitune").eval(), make("lambda_equitune").eval()
    for parameter in model.parameters():
        parameter.data.add_(0.01)
    assert not torch.allclose(other(images()), model(images()))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images()), model(images()))


@pytest.mark.parametrize("method", ["equitune", "lambda_equitune", "equizero", "canonical"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_gradient_reaches_all_that_is_trained(method, frozen):
    model = make(method, frozen=frozen).train()
    before = copy.deepcopy(model.backbone.state_dict())
    nn.functional.cross_entropy(model(images()), torch.tensor([0, 1])).backward()
    for name, parameter in model.named_parameters():
        if frozen and name.startswith("features.module."):
            assert parameter.grad is None
            assert not parameter.requires_grad
        else:
            assert parameter.grad.abs().sum() > 0, name
    after = model.backbone.state_dict()
    unchanged = all(torch.equal(before[key], after[key]) for key in before)
    assert unchanged == frozen  # running statistics move with the pass


@pytest.mark.parametrize("method", ["finetune", "equitune", "lambda_equitune", "equizero"])
def test_features_of_the_orbit_give_the_same_logits(method):
    model = finished(method)
    orbit = model.orbit_features(images())
    assert orbit.shape == (model.features.group.order, 2, 512, 1)
    assert torch.equal(model.from_orbit(orbit), model(images()))


def statistics(module):
    return {key: value for key, value in module.state_dict().items() if "running" in key}


@pytest.mark.parametrize("chunk_size", [None, 2, 1])
def test_batch_statistics_are_those_of_the_copies_that_pass_together(chunk_size):
    model = make("equitune", size=64, chunk_size=chunk_size).train()
    plain = copy.deepcopy(model.backbone)
    model(images(size=64)).sum().backward()  # chunks are computed twice, and must count once
    orbit = ROTATE.orbit(images(size=64)).flatten(0, 1)
    together = 2 * (chunk_size or 4)
    for rows in orbit.split(together):
        plain(rows)
    expected = statistics(plain)
    assert expected
    found = statistics(model.backbone)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "equitunee"}, "unknown method 'equitunee'; did you mean 'equitune'"),
        ({"head": "sharde"}, "unknown head 'sharde'; did you mean 'shared'"),
        ({"action": None}, "action is None: equitune needs one"),
        (
            {"architecture": "timm:resnet18", "head": "own"},
            "head is 'own' with timm:resnet18: expected 'shared'",
        ),
    ],
)
def test_a_bad_argument_is_one_line(change, text):
    good = {"architecture": "resnet18", "method": "equitune", "action": ROTATE}
    with pytest.raises(ValueError, match=r"unknown|action|head") as error:
        build(size=32, classes=3, **{**good, **change})
    assert str(error.value).startswith(text)
    assert "\n" not in str(error.value)


def test_the_classifier_that_is_cut_off_leaves_no_weights_behind(monkeypatch):
    """It is part of a cycle, so it would stay until all objects are looked through."""
    parts = []
    monkeypatch.setattr(models, "split", lambda *a: parts.append(split(*a)) or parts[0])
    model = make("equitune", "alexnet", 64)
    weights = list(parts[0][1].parameters())
    assert sum(w.numel() for w in weights) > 50e6
    assert all(w.is_meta for w in weights)
    assert not any(p.is_meta for p in model.parameters())
