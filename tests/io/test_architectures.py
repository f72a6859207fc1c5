"""Names of image models, read from the files of packages."""

import subprocess
import sys

import pytest
import torchvision

from equitune.image import backbones
from equitune.io import architectures


def test_the_names_are_those_that_torchvision_lists():
    models = torchvision.models
    assert architectures.known("torchvision") == {*models.list_models(models)}


def test_what_is_built_here_is_known():
    assert tuple(backbones.OWN) == architectures.OWN


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", ""),
        ("efficientnet_lite0", ""),
        ("resnett18", "unknown architecture 'resnett18'; did you mean 'resnet18'"),
        ("zzz", "unknown architecture 'zzz'; expected one of alexnet, resnet18, vgg11_bn, densen"),
    ],
)
def test_an_unknown_name_is_told(name, message):
    assert architectures.fault_of(name).startswith(message)
    assert bool(architectures.fault_of(name)) == bool(message)


def test_names_of_timm_may_end_in_those_of_weights(monkeypatch):
    monkeypatch.setattr(architectures, "known", lambda package: frozenset({"vit_tiny"}))
    assert architectures.fault_of("timm:vit_tiny.augreg_in21k") == ""
    assert "did you mean 'timm:vit_tiny'" in architectures.fault_of("timm:vit_tinny")


def test_a_package_that_is_not_here_refuses_nothing(monkeypatch):
    monkeypatch.setattr(architectures, "known", lambda package: frozenset())
    assert architectures.fault_of("resnett18") == ""
    assert architectures.fault_of("timm:vit_tinny") == ""


def test_torchvision_is_not_imported():
    code = (
        "import sys; from equitune.io import architectures; "
        "architectures.known('torchvision'); sys.exit('torchvision' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
