"""What the group does is not in the state; what is saved comes back, or a line says why not."""

import copy
import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import AutoModelForCausalLM

from equitune.language.models import EquiCausalLM

GENERAL = [8, 9]
ROWS = torch.tensor([[3, 5, 13, 8, 20, 6], [11, 14, 9, 5, 30, 2]])
CLOSE = {"atol": 2e-5, "rtol": 1e-5}


@pytest.fixture
def relaxed_model(language_model, token_action):
    """A function that returns a relaxed model."""

    def make(order=3, **options):
        model = language_model(**options)
        return EquiCausalLM.wrap(model, token_action(order), GENERAL, relaxed=True)

    return make


@pytest.fixture
def warnings_of_transformers():
    """A list to which every warning of transformers is added."""
    logger, found = logging.getLogger("transformers"), []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def expected_logits(fair, plain_loop, x=ROWS):
    """The relaxed model's logits by a plain loop."""
    logits = plain_loop(fair.model, fair.action, x)
    logits[..., GENERAL] = fair.model(x).logits[..., GENERAL]
    return logits


def as_before(fair):
    """The state dict that version 0.1.0 would have had."""
    rows, state = fair.action.permutations, fair.state_dict()
    del state["_extra_state"]
    moved = (rows != rows[0]).any(0).nonzero().flatten()
    places = torch.zeros(40, dtype=torch.long).index_copy(0, moved, torch.arange(len(moved)))
    return state | {
        "action.permutations": rows,
        "moved": moved,
        "moves": places[rows[:, moved]],
        "general": torch.tensor(GENERAL),
    }


def test_the_buffers_are_those_of_the_wrapped_model(relaxed_model):
    fair = relaxed_model()
    own = {f"model.{name}" for name, _ in fair.model.named_buffers()}
    assert {name for name, _ in fair.named_buffers()} == own
    others = fair.state_dict().keys() - {f"model.{key}" for key in fair.model.state_dict()}
    assert others == {"_extra_state"}


@pytest.mark.parametrize("buffers", [False, True])
def test_averages_of_models_keep_the_group(relaxed_model, plain_loop, buffers):
    fair = relaxed_model()
    average = AveragedModel(fair, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=buffers)
    for seed in range(3):
        torch.manual_seed(seed)
        for weight in fair.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
        average.update_parameters(fair)
    module = average.module
    assert torch.equal(module.action.permutations, fair.action.permutations)
    torch.testing.assert_close(average(ROWS).logits, expected_logits(module, plain_loop), **CLOSE)


def test_a_soup_of_state_dicts_keeps_the_group_and_is_loaded(relaxed_model, plain_loop):
    first, second = relaxed_model(seed=0), relaxed_model(seed=1)
    states = first.state_dict(), second.state_dict()
    soup = {key: 0.3 * states[0][key] + 0.7 * states[1][key] for key in states[0]}
    mixed = relaxed_model(seed=2)
    assert mixed.load_state_dict(soup).missing_keys == []
    for weight, a, b in zip(*(m.parameters() for m in (mixed, first, second)), strict=True):
        torch.testing.assert_close(weight, 0.3 * a + 0.7 * b)
    torch.testing.assert_close(mixed(ROWS).logits, expected_logits(mixed, plain_loop), **CLOSE)


def test_casts_and_moves_keep_the_group(relaxed_model, plain_loop):
    fair = relaxed_model()
    weights = copy.deepcopy(fair.state_dict())
    expected = fair(ROWS).logits
    for moved in (
        fair.half().float(),
        fair.double().float(),
        fair.to("meta").to_empty(device="cpu"),
    ):
        moved.load_state_dict(weights)
        moved.tie_weights()
        torch.testing.assert_close(moved(ROWS).logits, expected, **CLOSE)
    half = copy.deepcopy(fair).half()
    assert half.load_state_dict(half.state_dict()).unexpected_keys == []
    found, wanted = half(ROWS).logits.float(), expected_logits(half, plain_loop).float()
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0.01)


def test_a_model_that_was_built_or_run_in_inference_mode_is_trained(language_model, token_action):
    model = language_model()
    with torch.inference_mode():
        fair = EquiCausalLM.wrap(model, token_action(3), GENERAL, relaxed=True)
        fair(ROWS)
    fair(ROWS, labels=ROWS).loss.backward()
    assert all(weight.grad is not None for weight in fair.parameters())


def test_a_state_dict_of_another_action_is_refused_before_a_weight_changes(relaxed_model):
    fair, other = relaxed_model(3), relaxed_model(2, seed=1)
    before = {key: x.clone() for key, x in fair.state_dict().items()}
    for state in (other.state_dict(), as_before(other)):
        for strict in (True, False):
            with pytest.raises(ValueError, match="another action than TokenPermutation") as error:
                fair.load_state_dict(state, strict=strict)
            assert "\n" not in str(error.value)
    assert all(torch.equal(x, before[key]) for key, x in fair.state_dict().items())


def test_state_dicts_without_an_action_are_loaded(relaxed_model):
    fair, other = relaxed_model(seed=0), relaxed_model(seed=1)
    bare = {key: x for key, x in fair.state_dict().items() if key != "_extra_state"}
    for state in (as_before(fair), bare):
        loaded = copy.deepcopy(other)
        assert loaded.load_state_dict(state).unexpected_keys == []
        assert torch.equal(loaded(ROWS).logits, fair(ROWS).logits)


def test_a_folder_of_version_0_1_0_is_loaded_without_a_warning(
    relaxed_model, tmp_path, warnings_of_transformers
):
    fair = relaxed_model()
    fair.save_pretrained(tmp_path)
    old = as_before(fair)
    del old["model.lm_head.weight"]  # tied
    save_file({key: x.contiguous() for key, x in old.items()}, tmp_path / "model.safetensors")
    loaded = EquiCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(ROWS).logits, fair(ROWS).logits)
    assert torch.equal(
        AutoModelForCausalLM.from_pretrained(tmp_path)(ROWS).logits, fair(ROWS).logits
    )
    loaded.save_pretrained(tmp_path)
    assert "moves" not in load_file(tmp_path / "model.safetensors")
    assert warnings_of_transformers == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_in_a_folder_of_another_action_are_refused(
    relaxed_model, token_action, tmp_path, dtype
):
    relaxed_model().save_pretrained(tmp_path)
    EquiCausalLM.from_pretrained(tmp_path, dtype=dtype)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"action": token_action(2).config()}))
    with pytest.raises(ValueError, match="state dict is that of a model with another action"):
        EquiCausalLM.from_pretrained(tmp_path, dtype=dtype)


def test_a_folder_without_all_weights_is_refused(relaxed_model, tmp_path):
    relaxed_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for key in ("model.transformer.ln_f.weight", "model.transformer.h.0.ln_1.bias"):
        del weights[key]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    message = r"lacks 2 of the model's weights, model.transformer.h.0.ln_1.bias, .* be random"
    for kind in (EquiCausalLM, AutoModelForCausalLM):
        with pytest.raises(ValueError, match=message):
            kind.from_pretrained(tmp_path)


def test_a_folder_of_another_kind_is_refused(language_model, tmp_path):
    language_model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"then EquiCausalLM\.wrap"):
        EquiCausalLM.from_pretrained(tmp_path)


def own_head(fair):
    class Own(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    fair.set_output_embeddings(Own(16, 40, bias=False))


def own_width(fair):
    fair.set_output_embeddings(nn.Linear(16, 40))  # GPT-2's has no bias


def compiled(fair):
    fair.model.transformer = torch.compile(fair.model.transformer, backend="eager")


def no_more_relaxed(fair):
    fair.config.relaxed = False


def other_action(fair):
    fair.config.action = {**fair.config.action, "moved": [[], [], []]}


def more_layers(fair):
    fair.config.num_hidden_layers = 3


def resized(fair):
    fair.model.resize_token_embeddings(44, mean_resizing=False)


UNLIKE = {
    "a head of a class of its own": (own_head, "model.lm_head is Own, expected Linear"),
    "another head": (own_width, "unexpected model.lm_head.bias"),
    "compiled": (compiled, "_orig_mod"),
    "another mode": (no_more_relaxed, "other general words"),
    "another action": (other_action, "another action"),
    "another number of layers": (more_layers, r"missing 12 keys \(model\.transformer\.h\.2"),
    "another vocabulary": (resized, "permutes 40 ids, the model has 44"),
}


@pytest.mark.parametrize("change", UNLIKE)
def test_what_could_not_be_loaded_is_not_saved(relaxed_model, tmp_path, change):
    fair, (apply, message) = relaxed_model(tie_word_embeddings=False), UNLIKE[change]
    apply(fair)
    with pytest.raises(ValueError, match=message) as error:
        fair.save_pretrained(tmp_path / "model")
    assert "\n" not in str(error.value)
    assert "torch.save(fair.state_dict(), file)" in str(error.value)
    assert not (tmp_path / "model").exists()


def test_a_head_that_is_no_longer_tied_comes_back(relaxed_model, tmp_path):
    fair = relaxed_model()
    torch.manual_seed(1)
    fair.set_output_embeddings(nn.Linear(16, 40, bias=False))
    fair.save_pretrained(tmp_path)
    assert torch.equal(EquiCausalLM.from_pretrained(tmp_path)(ROWS).logits, fair(ROWS).logits)


def test_weights_of_the_callers_own_are_compared_too(relaxed_model, tmp_path):
    fair = relaxed_model()
    state = {key: x.clone() for key, x in fair.state_dict().items() if "lm_head" not in key}
    for weight in fair.parameters():
        weight.data.zero_()
    for save in (  # transformers empties the dictionary
        lambda: fair.save_pretrained(tmp_path, state_dict=state.copy()),
        lambda: fair.save_pretrained(tmp_path, True, state.copy()),
    ):
        save()
        loaded = EquiCausalLM.from_pretrained(tmp_path).state_dict()
        assert all(torch.equal(loaded[key], x) for key, x in state.items())
    state["model.adapter.weight"] = state.pop("model.transformer.ln_f.weight")
    with pytest.raises(ValueError, match=r"missing model.*ln_f.weight; unexpected model.adapter"):
        fair.save_pretrained(tmp_path, state_dict=state)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "phi", "gemma2", "mixtral"])
def test_every_unchanged_model_is_saved(language_model, token_action, tmp_path, architecture):
    fair = EquiCausalLM.wrap(language_model(architecture), token_action(2))
    before = fair.config.text_config.to_dict()
    fair.save_pretrained(tmp_path, max_shard_size="5KB")
    assert before.items() <= fair.config.text_config.to_dict().items()
    assert torch.equal(EquiCausalLM.from_pretrained(tmp_path)(ROWS).logits, fair(ROWS).logits)
