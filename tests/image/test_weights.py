"""Published weights are read safely, fit by name and shape, and are what their names promise."""

import collections
import importlib.util
import re

import pytest
import torch
import torchvision

from equitune.image.backbones import backbone
from equitune.image.weights import imagenet_source, imagenet_url, load_backbone, read_weights
from equitune.io.files import save_tensors

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)


def published(architecture, classes=7):
    """A state dict as a published file has it: the whole model, random."""
    torch.manual_seed(5)
    get_model = torchvision.models.get_model
    return dict(get_model(architecture, weights=None, num_classes=classes).state_dict())


def same(state, weights):
    return all(torch.equal(value, weights[key]) for key, value in state.items())


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_a_state_dict_comes_back(tmp_path, name):
    weights = collections.OrderedDict(a=torch.randn(2, 3), b=torch.tensor(4))
    if name.endswith("safetensors"):
        save_tensors(tmp_path / name, weights)
    else:
        torch.save(weights, tmp_path / name)
    found = read_weights(tmp_path / name)
    assert found.keys() == weights.keys()
    assert same(weights, found)


def test_the_format_before_zip_is_read(tmp_path):
    file = tmp_path / "old.pth"
    torch.save({"a": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(file)["a"], torch.ones(2))


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_the_weights_of_a_checkpoint_are_found(tmp_path, name, prefix):
    weights = {"a.b": torch.ones(2), "c": torch.zeros(3)}
    wrapped = {prefix + key: value for key, value in weights.items()}
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, name: wrapped}, tmp_path / "w.pth")
    found = read_weights(tmp_path / "w.pth")
    assert found.keys() == weights.keys()
    assert same(found, weights)


def test_a_prefix_that_some_names_lack_stays(tmp_path):
    torch.save({"module.a": torch.ones(2), "b": torch.ones(1)}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth").keys() == {"module.a", "b"}


class Trap:
    """Code that runs when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a file of weights was executed",)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"a": Trap()}, "is not a file of tensors alone, or is damaged: save model.state_dict()"),
        (torch.nn.Linear(1, 1), "is not a file of tensors alone, or is damaged"),
        (torch.ones(2), "holds Tensor, expected a state dict"),
        (
            {"weights": {"a": torch.ones(2)}, "epoch": 3},
            "holds dict at 'weights', expected tensors, there or at state_dict, "
            "model_state_dict or model; its keys are weights, epoch: save model.state_dict()",
        ),
        ({"model": {"a": {"b": 1}}, "epoch": 3}, "holds dict at 'a', expected tensors"),
        (b"", "is truncated or damaged"),
        (b"<html>not found</html>", "is not a file of tensors alone, or is damaged"),
        (None, "is truncated or damaged: retrieve it again"),
    ],
    ids=[
        "object that runs code",
        "module",
        "tensor",
        "nested under another name",
        "nested too deep",
        "empty",
        "page of a website",
        "truncated",
    ],
)
def test_a_file_that_is_no_state_dict_is_one_line(tmp_path, content, text):
    file = tmp_path / "w.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is None:
        torch.save({"a": torch.ones(900)}, file)
        file.write_bytes(file.read_bytes()[:2000])
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match=r"w\.pth (is|holds)") as error:
        read_weights(file)
    assert str(error.value).startswith(f"{file} {text}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_of_another_kind_is_named(tmp_path):
    for name in ("w.pth", "w.safetensors"):
        with pytest.raises(FileNotFoundError, match=re.escape(f"{name} does not exist")):
            read_weights(tmp_path / name)
    with pytest.raises(ValueError, match=r"has suffix '\.safetensor'; did you mean '\.safetensors"):
        read_weights(tmp_path / "w.safetensor")


@pytest.mark.parametrize("architecture", ["resnet18", "squeezenet1_1", "googlenet"])
@pytest.mark.filterwarnings("ignore:The default weight initialization of GoogleNet:FutureWarning")
def test_published_weights_fit_whatever_the_classes(architecture):
    weights, trunk = published(architecture), backbone(architecture, 64, 2)
    assert not same(trunk.body.state_dict(), weights)
    load_backbone(trunk, weights, "published")
    assert same(trunk.body.state_dict(), weights)


def test_weights_without_a_classifier_fit_too():
    weights, trunk = published("resnet18"), backbone("resnet18", 32, 2)
    load_backbone(trunk, {k: v for k, v in weights.items() if "fc" not in k}, "headless")
    assert same(trunk.body.state_dict(), weights)


def test_every_key_that_does_not_fit_is_named_and_nothing_is_loaded():
    weights, trunk = published("resnet18"), backbone("resnet18", 32, 2)
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    weights["conv2.weight"] = weights.pop("conv1.weight")
    weights["head.weight"] = torch.ones(2)
    weights["bn1.bias"] = torch.ones(3)
    with pytest.raises(ValueError, match=r"x\.pth does not fit resnet18") as error:
        load_backbone(trunk, weights, "x.pth")
    assert "missing conv1.weight; unexpected conv2.weight, head.weight; bn1.bias is (3,)" in str(
        error.value
    )
    assert same(before, trunk.state_dict())


def test_densenet_files_with_the_names_of_old_fit():
    weights, trunk = published("densenet121"), backbone("densenet121", 32, 2)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): value
        for key, value in weights.items()
        if not key.endswith("num_batches_tracked")  # came later
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert "features.norm0.weight" in old
    load_backbone(trunk, old, "densenet121-a639ec97.pth")
    assert same(trunk.body.state_dict(), weights)


@pytest.mark.parametrize(
    ("architecture", "name", "size"),
    [
        ("alexnet", "alexnet-owt-7be5be79.pth", 244408911),
        ("resnet18", "resnet18-f37072fd.pth", 46830571),
        ("resnet50", "resnet50-0676ba61.pth", 0),  # the first version, which is not the default
        ("vgg11_bn", "vgg11_bn-6002323d.pth", 0),
        ("densenet121", "densenet121-a639ec97.pth", 32342954),
    ],
)
def test_the_address_is_that_of_the_papers_weights(architecture, name, size):
    url = imagenet_url(architecture)
    assert url.startswith("https://")
    assert url.endswith(f"/{name}")
    source = imagenet_source(architecture)
    assert (source.url, source.mirror, source.bytes) == (url, f"imagenet/{name}", size)
    assert len(source.sha256) == (64 if size else 8)
    assert f"-{source.sha256[:8]}." in name


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        ("resnet81", "unknown architecture 'resnet81'; did you mean"),
        ("vit_h_14", "vit_h_14 has no IMAGENET1K_V1 weights, only IMAGENET1K_SWAG_E2E_V1, "),
    ],
)
def test_an_architecture_without_such_weights_is_told(architecture, text):
    with pytest.raises(ValueError, match=r"architecture|weights") as error:
        imagenet_url(architecture)
    assert str(error.value).startswith(text)
