"""EquiCausalLM is trained, saved and loaded as any model of transformers."""

import copy
import importlib.util

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from equitune.language.models import EquiCausalLM

GENERAL = [8, 9]
ROWS = torch.tensor([[3, 5, 13, 8, 20, 6], [11, 14, 9, 5, 30, 2], [2, 4, 8, 4, 3, 7]])
LABELS = ROWS.masked_fill(torch.tensor([[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0] * 6]) > 0, -100)
every_architecture = pytest.mark.parametrize("architecture", ["gpt2", "llama", "phi", "gemma2"])
needs_accelerate = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed"
)


@pytest.fixture
def relaxed_model(language_model, token_action):
    """A function that returns a relaxed model of order 3."""

    def make(architecture="gpt2", **changes):
        model = language_model(architecture, **changes)
        return EquiCausalLM.wrap(model, token_action(3), GENERAL, relaxed=True)

    return make


def by_hand(model, action):
    """The loss by its formula, from one pass of the model for each element."""
    logits = [
        action.on_logits().inverse(g, model(action(g, ROWS)).logits) for g in action.group.elements
    ]
    mean = torch.stack(logits).mean(0)
    mean = mean.index_copy(-1, torch.tensor(GENERAL), logits[0][..., GENERAL])
    scores = mean[:, :-1].log_softmax(-1).gather(-1, ROWS[:, 1:, None])[..., 0]
    return -scores[LABELS[:, 1:] != -100].mean()


@pytest.mark.parametrize("mode", ["evaluation", "training"])
@every_architecture
def test_loss_and_gradients_are_those_of_the_formula(relaxed_model, architecture, mode):
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    equi = relaxed_model(architecture, **dropouts if architecture == "gpt2" else {})
    model = copy.deepcopy(equi.model)
    equi.train(mode == "training")
    expected = by_hand(model, equi.action)
    found = equi(ROWS, labels=LABELS).loss
    torch.testing.assert_close(found, expected)
    expected.backward()
    found.backward()
    weights = dict(equi.model.named_parameters())
    assert all(weight.grad is not None for weight in weights.values())
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weights[name].grad, weight.grad, atol=1e-4, rtol=1e-3)


def test_gradient_checkpointing_changes_no_gradient(relaxed_model):
    gradients = []
    for checkpointing in (False, True):
        equi = relaxed_model(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).train()
        if checkpointing:
            old = "gradient_checkpointing_enable"  # its name up to some version 5
            getattr(equi, "activation_checkpointing_enable", getattr(equi, old))()
        equi(ROWS, labels=LABELS, use_cache=False).loss.backward()
        gradients.append(equi.model.transformer.wte.weight.grad)
    torch.testing.assert_close(*gradients)


@needs_accelerate
def test_the_trainer_of_transformers_trains_it(relaxed_model, tmp_path):
    equi = relaxed_model()
    before = {key: x.clone() for key, x in equi.state_dict().items()}
    settings = TrainingArguments(
        str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=2,
        learning_rate=1e-3,
        logging_steps=1,
        save_steps=2,
        use_cpu=True,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
    )
    data = [{"input_ids": x, "labels": y} for x, y in zip(ROWS, LABELS, strict=True)]
    trainer = Trainer(equi, settings, train_dataset=data)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert min(losses) > 0
    after = equi.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {key for key, weight in equi.named_parameters(remove_duplicate=False)}
    saved = EquiCausalLM.from_pretrained(tmp_path / "out" / "checkpoint-2")
    assert torch.equal(saved(ROWS).logits, equi.eval()(ROWS).logits)


@pytest.mark.parametrize("kind", [EquiCausalLM, AutoModelForCausalLM])
@every_architecture
def test_what_was_saved_is_loaded_exactly(relaxed_model, tmp_path, architecture, kind):
    equi = relaxed_model(architecture)
    equi.generation_config.max_new_tokens = 4
    equi.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert type(loaded) is EquiCausalLM
    assert not loaded.training
    assert torch.equal(loaded(ROWS).logits, equi(ROWS).logits)
    assert torch.equal(loaded.action.permutations, equi.action.permutations)
    assert loaded.config.relaxed
    assert loaded.config.general == GENERAL
    assert loaded.generation_config.max_new_tokens == 4
    found, expected = (m.generate(ROWS, attention_mask=torch.ones(3, 6)) for m in (loaded, equi))
    assert torch.equal(found, expected)


def test_an_exactly_fair_model_is_loaded_as_one(language_model, token_action, tmp_path):
    fair = EquiCausalLM.wrap(language_model(), token_action(2), GENERAL)
    fair.save_pretrained(tmp_path)
    loaded = EquiCausalLM.from_pretrained(tmp_path)
    assert not loaded.config.relaxed
    assert torch.equal(loaded(ROWS).logits, fair(ROWS).logits)


def test_tied_weights_stay_tied_and_are_saved_once(relaxed_model, tmp_path):
    relaxed_model().save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    assert shapes.count([40, 16]) == 1
    loaded = EquiCausalLM.from_pretrained(tmp_path).model
    assert loaded.lm_head.weight is loaded.transformer.wte.weight


def test_a_loaded_model_takes_another_precision(relaxed_model, tmp_path):
    equi = relaxed_model()
    equi.save_pretrained(tmp_path)
    loaded = EquiCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    found = loaded(ROWS).logits
    assert found.dtype == loaded.dtype == torch.bfloat16
    expected = copy.deepcopy(equi).to(torch.bfloat16)(ROWS).logits
    assert torch.equal(found, expected)
    assert (found - equi(ROWS).logits).abs().max() < 0.5
    assert torch.equal(loaded.action.permutations, equi.action.permutations)


@needs_accelerate
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_loaded_model_goes_to_the_device_that_is_named(relaxed_model, tmp_path, device):
    equi = relaxed_model()
    equi.save_pretrained(tmp_path)
    loaded = EquiCausalLM.from_pretrained(tmp_path, device_map=device)
    assert {x.device for x in loaded.state_dict().values()} == {loaded.device}
    found = loaded(ROWS.to(loaded.device)).logits.cpu()
    torch.testing.assert_close(found, equi(ROWS).logits, atol=1e-4, rtol=1e-4)
