"""The forms for products of groups are what they say; how long they take is not tested."""

import sys

import pytest
import torch

from equitune.actions import TokenPermutation
from equitune.config import Permutation, Seq2SeqModel
from equitune.language.tokenizer import build_tokenizer
from equitune.scan.data import COMMANDS
from equitune.scan.models import build

transformers = pytest.importorskip("transformers")
PEOPLE = "The Black White gay straight man woman"
CONTEXTS = ["was known for", "was described as", "was regarded as", "was thought of as"]
CONTEXTS += ["was well-known for", "worked as", "had a part-time job as", "earned money by"]
CONTEXTS += ["started working as"]


@pytest.fixture(scope="module")
def cost(script):
    return script("product_cost")


@pytest.fixture
def rows(cost, monkeypatch):
    """Compare without timing."""
    monkeypatch.setattr(cost, "alternate", lambda works, rounds: [(1.0, 4.0, 4.0, 1.1)] * rounds)

    def table(*case):
        found = list(cost.compared(2, ("scan", "LSTM", "a setting"), cost.Case(*case)))
        return {(r["benchmark"], r["numerator"]): r for r in found}

    return table


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder as `language pretrain` leaves it: a GPT-2 whose words are those of the prompts."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = build_tokenizer([PEOPLE, *CONTEXTS, *(f" {text}" for text in CONTEXTS)])
    sizes = {"n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2, "initializer_range": 0.2}
    torch.manual_seed(0)
    config = transformers.GPT2Config(len(tokenizer), bos_token_id=0, eos_token_id=0, **sizes)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def check(found):
    """All forms are exact; the mean over the whole group is the nearest to the model."""
    for form in ("all copies", "additive", "frame"):
        error = found["product_error", form]
        assert error["value"] < 1e-12 < 1e-3 < error["denominator_value"]
    near, far = (found["product_distance", name]["value"] for name in ("all copies", "frame"))
    assert 0 < near < found["product_distance", "additive"]["value"]
    assert near < far
    assert found["product_time", "frame"]["ratio"] == pytest.approx(1.1)


def test_scan_with_two_groups_at_once(cost, rows):
    torch.manual_seed(0)
    sizes = Seq2SeqModel(embedding=5, hidden=6)
    module = build("LSTM", sizes, "pretrained", Permutation()).module.double().eval()
    specs = cost.SCAN_GROUPS["four verbs and a pair"]
    sides = zip(*(cost.word_group(spec) for spec in specs), strict=True)
    words, actions = (cost.together(side) for side in sides)
    assert words.group.order == 8
    inputs = torch.randint(2, len(COMMANDS), (6, 5)), torch.randint(0, 6, (6, 4))
    forms = cost.scan_forms(module, specs)
    check(rows(forms, (words, actions), actions.on_logits(), inputs))


def test_a_trained_language_model_is_asked_about_two_axes(cost, rows, planted, monkeypatch):
    monkeypatch.setattr(cost, "AXES", cost.AXES[:1])
    taken = list(cost.language_rows(2, planted))
    check({(r["benchmark"], r["numerator"]): r for r in taken})
    measured = [r["setting"] for r in taken if r["benchmark"] == "product_time"]
    assert set(measured) == {"gender × orientation, 24 prompts"}
    assert {r["order"] for r in taken} == {4}


@pytest.mark.parametrize(("place", "people"), [(0, 4), (1, 8)])
def test_prompts_name_everybody_whom_the_lexicons_exchange(cost, planted, place, people):
    axes = cost.AXES[place]
    tokenizer = transformers.AutoTokenizer.from_pretrained(planted)
    ids = cost.asked(tokenizer, axes)
    usual = [text for text in CONTEXTS if len(text.split()) == 3]
    assert len(ids) == people * len(usual) == people * 6
    texts = {tokenizer.decode(row) for row in ids}
    first = f"The {'Black ' if 'race' in axes else ''}gay man was known for"
    assert first in texts
    both = cost.together(cost.swaps(tokenizer, axes))
    assert both.group.order == people
    images = {tokenizer.decode(both(g, ids[:1])[0]) for g in both.group.elements}
    assert len(images) == people
    assert images <= texts


@pytest.mark.parametrize("given", [True, False], ids=["model", "none"])
def test_without_a_language_model_scan_alone_is_measured(cost, planted, monkeypatch, given):
    monkeypatch.setattr(cost, "scan_rows", lambda rounds, model, dataset: iter([str(model)]))
    monkeypatch.setattr(cost, "language_rows", lambda rounds, folder: iter([str(folder)]))
    taken = []
    monkeypatch.setattr(cost, "report", lambda rows, output: taken.extend(rows))
    words = ["product_cost.py", "m.safetensors", "--dataset", "d", "--output", "o"]
    monkeypatch.setattr(sys, "argv", words + (["--language", str(planted)] if given else []))
    threads = torch.get_num_threads()
    cost.main()
    torch.set_num_threads(threads)
    assert taken == ["m.safetensors", *([str(planted)] if given else [])]


def test_the_frame_of_a_command_is_the_first_in_alphabetical_order(cost):
    rows = [[3, 2, 9], [2, 12, 14], [2, 13, 0]]
    places = cost.alphabetical(torch.tensor(rows), torch.empty(0))
    assert [rows[i] for i in places.argsort().tolist()] == sorted(rows)


def test_a_model_that_is_equivariant_already_is_changed_by_the_sum_alone(cost):
    pairs = [{1: 2, 2: 1}, {3: 4, 4: 3}]
    factors = [
        TokenPermutation.generated_by([pair.get(word, word) for word in range(5)]) for pair in pairs
    ]
    found = {row["numerator"]: row["value"] for row in cost.projection_rows(factors)}
    assert found == {"all copies": 1.0, "additive": 0.75}
