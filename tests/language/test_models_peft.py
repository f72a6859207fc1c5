"""EquiCausalLM round models of PEFT: adapters, adapters on the head, prefixes and prompts."""

import importlib.util

import pytest
import torch

from equitune.language.models import EquiCausalLM
from equitune.language.sampling import Choice, sample

if importlib.util.find_spec("peft") is None:
    pytest.skip("peft is not installed", allow_module_level=True)

from peft import (
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
)

# PEFT asks transformers by a name that goes away
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

CONTEXTS = torch.tensor([[3, 5, 13, 8], [3, 6, 13, 8], [11, 14, 9, 5]])
ONES = torch.ones_like(CONTEXTS)
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
LORA = LoraConfig(r=2, target_modules=["c_attn"], task_type="CAUSAL_LM", fan_in_fan_out=True)
HEAD = LoraConfig(r=2, target_modules=["lm_head"], task_type="CAUSAL_LM")
PREFIX = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
PROMPT = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)


@pytest.fixture
def adapted(language_model):
    """A function that returns a model of PEFT whose weights are random and far from nothing."""

    def make(settings):
        torch.manual_seed(0)
        model = get_peft_model(language_model(tie_word_embeddings=False), settings).eval()
        for name, weight in model.named_parameters():
            if "lora" in name or "prompt" in name:
                torch.nn.init.normal_(weight, std=0.5)
        return model

    return make


@pytest.mark.parametrize(
    "settings", [LORA, HEAD, PREFIX, PROMPT], ids=["LoRA", "head", "prefix", "prompt"]
)
def test_logits_and_loss_are_the_plain_average(adapted, token_action, plain_loop, settings):
    model, action = adapted(settings), token_action(3)
    before = {key: x.clone() for key, x in model.state_dict().items()}
    fair = EquiCausalLM.wrap(model, action)
    assert all(torch.equal(x, before[key]) for key, x in model.state_dict().items())
    expected = plain_loop(model, action, CONTEXTS)
    with model.disable_adapter():
        assert (expected[:, -4:] - plain_loop(model, action, CONTEXTS)).abs().max() > 0.1
    found = fair(CONTEXTS, labels=CONTEXTS)
    torch.testing.assert_close(found.logits, expected, **CLOSE)
    told = CONTEXTS if settings is PROMPT else CONTEXTS[:, 1:]  # a prompt tells the first word too
    scores = expected[:, :-1][:, -told.shape[1] :].log_softmax(-1).gather(-1, told[..., None])
    torch.testing.assert_close(found.loss, -scores.mean())
    torch.testing.assert_close(
        EquiCausalLM.wrap(model)(CONTEXTS, labels=CONTEXTS).loss,
        model(CONTEXTS, labels=CONTEXTS).loss,
    )


@pytest.mark.parametrize("settings", [LORA, HEAD], ids=["LoRA", "head"])
def test_adapters_that_come_after_a_first_pass_count(
    language_model, token_action, plain_loop, settings
):
    model, action = language_model(tie_word_embeddings=False), token_action(2)
    fair = EquiCausalLM.wrap(model, action)
    before = fair(CONTEXTS).logits
    torch.manual_seed(0)
    for name, weight in get_peft_model(model, settings).eval().named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(weight, std=0.5)
    expected = plain_loop(model, action, CONTEXTS)
    assert (expected - before).abs().max() > 0.1
    torch.testing.assert_close(fair(CONTEXTS).logits, expected, **CLOSE)


def test_padding_changes_nothing_under_an_adapter(adapted, token_action):
    fair = EquiCausalLM.wrap(adapted(LORA), token_action(2))
    x, mask = torch.cat([ONES[:, :2] * 5, CONTEXTS], 1), torch.cat([0 * ONES[:, :2], ONES], 1)
    found = fair(x, attention_mask=mask).logits[:, 2:]
    torch.testing.assert_close(found, fair(CONTEXTS).logits, **CLOSE)


@pytest.mark.parametrize("settings", [LORA, HEAD, PREFIX], ids=["LoRA", "head", "prefix"])
def test_generation_is_that_of_whole_contexts(adapted, token_action, plain_loop, settings):
    model, action = adapted(settings), token_action(2)
    fair, x = EquiCausalLM.wrap(model, action), CONTEXTS
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": -1}
    if settings is PREFIX:
        for call in (
            lambda: fair.generate(CONTEXTS, attention_mask=ONES, **options),
            lambda: sample(fair, CONTEXTS.tolist(), [0, 1, 2], 2, Choice()),
        ):
            with pytest.raises(ValueError, match="pass use_cache=False") as error:
                call()
            assert "\n" not in str(error.value)
        options["use_cache"] = False
    for _ in range(4):
        x = torch.cat([x, plain_loop(model, action, x)[:, -1:].argmax(-1)], 1)
    assert torch.equal(fair.generate(CONTEXTS, attention_mask=ONES, **options), x)


def test_a_prefix_outside_is_refused(language_model, token_action):
    outside = get_peft_model(EquiCausalLM.wrap(language_model(), token_action(2)), PREFIX)
    with pytest.raises(ValueError, match=r"learnt inside, EquiCausalLM.wrap\(get_peft_model"):
        outside(CONTEXTS)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize("settings", [LORA, HEAD, PREFIX], ids=["LoRA", "head", "prefix"])
def test_a_model_with_adapters_is_not_saved_whole(
    adapted, language_model, token_action, tmp_path, settings
):
    """Its configuration knows no adapter: all weights would come back random."""
    model, action = adapted(settings), token_action(2)
    fair = EquiCausalLM.wrap(model, action)
    with pytest.raises(ValueError, match=r"save them alone, fair\.model\.save") as error:
        fair.save_pretrained(tmp_path / "whole")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "whole").exists()
    fair.model.save_pretrained(tmp_path / "adapters")
    plain = language_model(tie_word_embeddings=False)
    loaded = PeftModel.from_pretrained(plain, tmp_path / "adapters").eval()
    again = EquiCausalLM.wrap(loaded, action)
    torch.testing.assert_close(again(CONTEXTS).logits, fair(CONTEXTS).logits, **CLOSE)


def test_a_merged_model_is_saved(adapted, token_action, tmp_path):
    fair = EquiCausalLM.wrap(adapted(LORA), token_action(2))
    expected = fair(CONTEXTS).logits
    merged = EquiCausalLM.wrap(fair.model.merge_and_unload(), fair.action)
    merged.save_pretrained(tmp_path)
    loaded = EquiCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded(CONTEXTS).logits, expected, **CLOSE)


def test_adapters_outside_are_trained_and_saved(language_model, token_action, plain_loop, tmp_path):
    fair = EquiCausalLM.wrap(language_model(), token_action(2))
    outside = get_peft_model(fair, LORA)
    trained = [name for name, weight in outside.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora" in name for name in trained)
    outside(CONTEXTS, labels=CONTEXTS).loss.backward()
    assert all(
        weight.grad is not None for _, weight in outside.named_parameters() if weight.requires_grad
    )
    for name in trained:
        torch.nn.init.normal_(outside.get_parameter(name), std=0.5)
    outside.eval()
    expected = plain_loop(fair.model, fair.action, CONTEXTS)
    torch.testing.assert_close(outside(CONTEXTS).logits, expected, **CLOSE)
    outside.save_pretrained(tmp_path)
    fresh = EquiCausalLM.wrap(language_model(), token_action(2))
    loaded = PeftModel.from_pretrained(fresh, tmp_path)
    torch.testing.assert_close(loaded(CONTEXTS).logits, expected, **CLOSE)


@pytest.mark.parametrize("where", ["inside", "around"])
def test_a_hundred_steps_of_lora_leave_the_model_equivariant(language_model, token_action, where):
    from equitune import adapters

    action = token_action(3)
    torch.manual_seed(0)
    model = language_model(tie_word_embeddings=False)
    config = adapters.lora(model, 2, ["c_attn"])
    config.fan_in_fan_out = True
    if where == "inside":
        fair = EquiCausalLM.wrap(get_peft_model(model, config), action)
    else:
        fair = get_peft_model(EquiCausalLM.wrap(model, action), config)
    optimizer = torch.optim.AdamW([p for p in fair.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = fair(input_ids=CONTEXTS, labels=CONTEXTS).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1
    fair.eval()  # a model of PEFT begins in training mode
    with torch.no_grad():
        logits = fair(input_ids=CONTEXTS).logits
        for g in action.group.elements:
            moved = fair(input_ids=action(g, CONTEXTS)).logits
            torch.testing.assert_close(
                action.on_logits().inverse(g, moved), logits, atol=1e-6, rtol=1e-6
            )
