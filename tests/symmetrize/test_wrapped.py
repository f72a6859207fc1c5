"""Published kinds of models without an adapter class: values and gradients of the plain loop."""

import pytest
import torch

from equitune.actions import Rotate90, Trivial
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)


def check(model, expected, *images, **inputs):
    """Outputs of a model, and gradients of its weights, are those of what a loop gave."""
    outputs = model(*images, **inputs)
    found = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    weights = [p for p in model.parameters() if p.requires_grad]
    grads = []
    for ys in (found, expected):
        loss = sum((y * torch.linspace(-1, 1, y.numel()).view_as(y).to(y)).sum() for y in ys)
        grads.append(torch.autograd.grad(loss, weights, allow_unused=True))
    assert any(g is not None and g.abs().max() > 0 for g in grads[0])
    for a, b in [*zip(found, expected, strict=True), *zip(*grads, strict=True)]:
        if a is not None or b is not None:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
    return outputs


def averaged(outputs, action=KEEP):
    return sum(action.inverse(g, y) for g, y in enumerate(outputs)) / len(outputs)


def pixels(size, batch=2):
    return torch.randn(batch, 3, size, size, dtype=torch.float64)


TOWER = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
IMAGES = {"image_size": 16, "patch_size": 8}


@pytest.mark.parametrize("chunk_size", [None, 1])
def test_vit(chunk_size):
    transformers = pytest.importorskip("transformers", reason="the extra language is absent")
    config = transformers.ViTConfig(**TOWER, **IMAGES, num_labels=3)
    module, x = transformers.ViTForImageClassification(config).double().eval(), pixels(16)
    settings = {"chunk_size": chunk_size}
    model = EquiTuned(module, {"pixel_values": ROTATE}, KEEP, output="logits", **settings)
    expected = averaged([module(ROTATE(g, x)).logits for g in range(4)])
    check(model, [expected], pixel_values=x, interpolate_pos_encoding=False)
    whole = EquiTuned(module, ROTATE, {"logits": KEEP, "loss": None}, **settings)(pixel_values=x)
    assert type(whole).__name__ == "ImageClassifierOutput"
    torch.testing.assert_close(whole.logits, expected)
    assert whole.loss is None


def test_clip():
    transformers = pytest.importorskip("transformers", reason="the extra language is absent")
    text = {"vocab_size": 30, "max_position_embeddings": 8, "eos_token_id": 2}
    config = transformers.CLIPConfig(
        text_config=TOWER | text, vision_config=TOWER | IMAGES, projection_dim=8
    )
    module, x = transformers.CLIPModel(config).double().eval(), pixels(16)
    ids = torch.randint(3, 30, (5, 8))
    texts = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    model = EquiTuned(
        module,
        {"pixel_values": ROTATE, "input_ids": None, "attention_mask": None},
        {
            "logits_per_image": KEEP,
            "text_embeds": None,
            "vision_model_output": {"pooler_output": KEEP},
        },
    )
    alone = [module(pixel_values=ROTATE(g, x), **texts) for g in range(4)]
    expected = [
        averaged([y.logits_per_image for y in alone]),
        averaged([y.vision_model_output.pooler_output for y in alone]),
    ]
    y = model(pixel_values=x, return_dict=True, **texts)
    assert y.logits_per_text is None
    torch.testing.assert_close(y.text_embeds, alone[0].text_embeds)

    class Taken(torch.nn.Module):  # of the test: the two outputs that move
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, **inputs):
            y = self.model(**inputs)
            return y.logits_per_image, y.vision_model_output.pooler_output

    check(Taken(), expected, pixel_values=x, **texts)


@pytest.mark.parametrize("name", ["fcn_resnet50", "lraspp_mobilenet_v3_large"])
def test_torchvision_segmentation(name):
    pytest.importorskip("torchvision", reason="the extra image is absent")
    from torchvision.models import segmentation

    settings = {"aux_loss": True} if name == "fcn_resnet50" else {}
    module = getattr(segmentation, name)(
        num_classes=2, weights=None, weights_backbone=None, **settings
    )
    module, x = module.double().eval(), pixels(32, batch=1)
    names = ["out", "aux"] if settings else ["out"]
    model = EquiTuned(module, ROTATE, dict.fromkeys(names, ROTATE))
    alone = [module(ROTATE(g, x)) for g in range(4)]
    y = model(x)
    assert list(y) == names
    expected = [averaged([each[key] for each in alone], ROTATE) for key in names]
    one = EquiTuned(module, ROTATE, ROTATE, output="out", chunk_size=2)
    check(one, expected[:1], x)
    for key, value in zip(names, expected, strict=True):
        torch.testing.assert_close(y[key], value, rtol=1e-8, atol=1e-8)


def test_timm_features():
    timm = pytest.importorskip("timm", reason="timm is absent")
    module = timm.create_model("resnet18", pretrained=False, features_only=True, out_indices=(1, 2))
    module, x = module.double().eval(), pixels(32)
    model = EquiTuned(module, ROTATE, [ROTATE, ROTATE])
    alone = [module(ROTATE(g, x)) for g in range(4)]
    expected = [averaged([maps[i] for maps in alone], ROTATE) for i in range(2)]
    assert isinstance(model(x), list)
    check(model, expected, x)
