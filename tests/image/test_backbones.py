"""A backbone and what is behind it are the published model, cut where its classifier begins."""

import functools
import importlib.util
import sys
import types

import pytest
import torch
import torchvision
from torch import nn

from equitune.image import backbones
from equitune.image.backbones import Backbone, backbone, split

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)

FOUR = {
    "alexnet": ((256, 1, 1), {"classifier"}),
    "resnet18": ((512, 2, 2), {"fc"}),
    "vgg11_bn": ((512, 2, 2), {"classifier"}),
    "densenet121": ((1024, 2, 2), {"classifier"}),
}
MORE = {
    "squeezenet1_1": ((512, 3, 3), {"classifier"}),
    "mobilenet_v3_small": ((576, 2, 2), {"classifier"}),
    "efficientnet_b0": ((1280, 2, 2), {"classifier"}),
    "convnext_tiny": ((768, 2, 2), {"classifier"}),
    "shufflenet_v2_x0_5": ((1024, 2, 2), {"fc"}),
    "swin_t": ((768, 2, 2), {"head"}),
    "vit_b_16": ((768,), {"heads"}),
}
OPTIONS = {"vit_b_16": {"image_size": 64}}


@functools.cache
def parts(architecture):
    """The two parts in evaluation mode; no test changes them."""
    torch.manual_seed(0)
    trunk, behind = split(architecture, 64, 5, OPTIONS.get(architecture, {}))
    for parameter in behind.parameters():
        nn.init.normal_(parameter, std=0.02)  # the vision transformer's are zero
    return trunk.eval(), behind.eval()


def images(count=2, size=64):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", [*FOUR, *MORE])
def test_the_two_parts_are_the_published_model(architecture):
    trunk, behind = parts(architecture)
    shape, classifier = (FOUR | MORE)[architecture]
    with torch.device("meta"):
        get_model = torchvision.models.get_model
        whole = get_model(
            architecture, weights=None, num_classes=5, **OPTIONS.get(architecture, {})
        ).eval()
    # strict: together the two have the keys of the published model, no more and no fewer
    whole.load_state_dict(trunk.body.state_dict() | behind.state_dict(), assign=True)
    assert trunk.shape == shape
    assert (trunk.channels, trunk.positions) == (shape[0], shape[-1] ** 2 if shape[1:] else 1)
    assert trunk.left_out == behind.state_dict().keys()
    assert {key.partition(".")[0] for key in trunk.left_out} == classifier
    with torch.no_grad():
        features = trunk(images())
        expected = whole((images() - trunk.mean) / trunk.std)
        assert features.shape == (2, trunk.channels, trunk.positions)
        assert expected.std() > 0
        torch.testing.assert_close(behind(features.reshape(2, *shape)), expected)


@pytest.mark.parametrize("architecture", FOUR)
def test_features_are_those_behind_the_last_relu(architecture):
    with torch.no_grad():
        features = parts(architecture)[0](images())
    assert features.min() >= 0
    assert features.max() > 0


def test_auxiliary_classifiers_are_left_out():
    trunk = backbone("googlenet", 64, 5, {"init_weights": False})
    assert {key.partition(".")[0] for key in trunk.left_out} == {"aux1", "aux2", "fc"}
    assert trunk.shape == (1024, 2, 2)
    assert trunk.training
    assert trunk(images()).shape == (2, 1024, 4)


def test_images_are_normalised_as_those_of_imagenet():
    trunk = Backbone(nn.Identity(), "identity", 2, (3, 2, 2), frozenset())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (mean + 2 * std).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(trunk(pixels), torch.full((1, 3, 4), 2.0))
    assert trunk.state_dict().keys() == {"mean", "std"}


def test_dropout_inside_follows_the_mode():
    trunk = backbone("densenet121", 32, 2, {"drop_rate": 0.5})
    trunk.requires_grad_(False)
    assert not torch.equal(trunk(images(size=32)), trunk(images(size=32)))
    trunk.eval()
    assert torch.equal(trunk(images(size=32)), trunk(images(size=32)))


@pytest.mark.parametrize("architecture", FOUR)
def test_channels_last_and_bfloat16_give_the_same_shapes(architecture):
    trunk, _ = parts(architecture)
    with torch.no_grad():
        expected = trunk(images())
        last = trunk(images().contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coarse = trunk(images())
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-5)
    assert coarse.shape == expected.shape
    assert coarse.dtype == torch.bfloat16
    assert (coarse - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize(("architecture", "smallest"), [("alexnet", 63), ("vgg11_bn", 32)])
def test_too_small_an_image_is_told_the_smallest_size(architecture, smallest):
    with pytest.raises(ValueError, match=f"{architecture} does not work on images of") as error:
        backbone(architecture, smallest - 1, 2)
    assert f"images of {smallest - 1} pixels, the smallest that works is {smallest}:" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_the_smallest_size_works():
    assert backbone("alexnet", 63, 2)(images(1, 63)).shape == (1, 256, 1)


def test_a_fixed_size_is_told_with_the_reason():
    with pytest.raises(ValueError, match=r"the smallest that works is 224: change.*Wrong image h"):
        backbone("vit_b_16", 32, 2)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\): expected \(batch, 3, 64, 64\)"):
        parts("resnet18")[0](images(size=32))


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        ("resnet81", "unknown architecture 'resnet81'; did you mean 'resnet"),
        ("ResNet18", "unknown architecture 'ResNet18'; did you mean 'resnet"),
        (
            "xyz",
            "unknown architecture 'xyz'; expected one of alexnet, resnet18, vgg11_bn, densenet121, "
            "or another classifier of torchvision or timm",
        ),
        ("fcn_resnet50", "unknown architecture 'fcn_resnet50'; did you mean"),  # no classifier
    ],
    ids=["a digit exchanged", "letters in upper case", "like none", "no classifier"],
)
def test_an_unknown_architecture_names_the_nearest(architecture, text):
    with pytest.raises(ValueError, match="unknown architecture") as error:
        backbone(architecture, 64, 2)
    assert str(error.value).startswith(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "options", [{"drop": 0.1}, {"weights": "DEFAULT"}, {"num_classes": 3}, {"growth_rate": 8}]
)
def test_a_bad_option_is_one_line(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match="densenet121 cannot be built with options") as error:
        backbone("densenet121", 32, 2, options)
    assert str(options) in str(error.value)
    assert f"argument '{name}'" in str(error.value)
    assert "\n" not in str(error.value)


def test_timm_that_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match="timm is not installed: pip install timm"):
        backbone("timm:resnet18", 64, 2)


class Tokens(nn.Module):
    """As a model of timm: features (batch, positions, channels) once its classifier is removed."""

    def __init__(self, num_classes, width=6):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.head = nn.Linear(width, num_classes)

    def reset_classifier(self, num_classes, global_pool):
        assert (num_classes, global_pool) == (0, "")
        self.head = nn.Identity()

    def forward(self, x):
        return self.head(self.patches(x).flatten(2).transpose(1, 2))


def test_a_model_of_timm_gives_its_unpooled_features(monkeypatch):
    timm = types.ModuleType("timm")
    timm.list_models = lambda: ["tokens"]
    timm.create_model = lambda name, pretrained, **settings: Tokens(**settings)
    monkeypatch.setitem(sys.modules, "timm", timm)
    trunk = backbone("timm:tokens", 16, 2, {"width": 7})
    assert (trunk.channels, trunk.positions) == (7, 16)
    assert trunk.left_out == {"head.weight", "head.bias"}
    expected = trunk.body.patches((images(size=16) - trunk.mean) / trunk.std).flatten(2)
    torch.testing.assert_close(trunk(images(size=16)), expected)
    with pytest.raises(ValueError, match="'timm:token'; did you mean 'timm:tokens'"):
        backbone("timm:token", 16, 2)


def test_a_model_of_timm_is_normalised_as_its_weights_expect(monkeypatch):
    timm = types.ModuleType("timm")
    timm.list_models = lambda: ["tokens"]

    def create(name, pretrained, **settings):
        model = Tokens(**settings)
        model.pretrained_cfg = {"mean": (0.5, 0.5, 0.4), "std": (0.5, 0.25, 0.5)}
        return model

    timm.create_model = create
    monkeypatch.setitem(sys.modules, "timm", timm)
    trunk = backbone("timm:tokens", 16, 2, {"width": 7})
    torch.testing.assert_close(trunk.mean.flatten(), torch.tensor([0.5, 0.5, 0.4]))
    torch.testing.assert_close(trunk.std.flatten(), torch.tensor([0.5, 0.25, 0.5]))


def test_a_failure_inside_timm_is_not_taken_for_its_absence(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'hub'", name="hub")

    monkeypatch.setattr(backbones.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="'hub'"):
        backbone("timm:resnet18", 64, 2)
