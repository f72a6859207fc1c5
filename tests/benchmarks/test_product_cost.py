"""The forms for products of groups are what they say; how long they take is not tested."""

import sys

import pytest
import torch

from equitune.actions import TokenPermutation
from equitune.config import Permutation, Seq2SeqModel
from equitune.language.corpus import read_corpus
from equitune.language.prompts import read_prompts
from equitune.language.tokenizer import build_tokenizer
from equitune.scan.data import COMMANDS
from equitune.scan.models import build

transformers = pytest.importorskip("transformers")


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
    """A folder as `language pretrain` leaves it: a GPT-2 whose words are those of the corpus."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = build_tokenizer(read_corpus().generate(read_prompts(), 60, seed=0))
    sizes = {"n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2, "initializer_range": 0.2}
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **sizes
    )
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
    assert set(measured) == {"gender × orientation, 64 sentences"}
    assert {r["order"] for r in taken} == {4}


@pytest.mark.parametrize(("place", "people"), [(0, 4), (1, 8)])
def test_sentences_are_about_everybody_and_no_images_of_each_other(cost, planted, place, people):
    axes = cost.AXES[place]
    tokenizer = transformers.AutoTokenizer.from_pretrained(planted)
    ids = cost.sentences(tokenizer, axes)
    assert ids.shape[0] == 64
    assert tokenizer.unk_token_id not in ids
    words = [tokenizer.decode(row).split() for row in ids]
    named = {tuple(text[1 : 1 + len(axes)]) for text in words}
    assert len(named) == people
    assert ("Black", "gay", "man")[-len(axes) :] in named
    both = cost.together(cost.swaps(tokenizer, axes))
    assert both.group.order == people
    copies = torch.cat([both(g, ids) for g in both.group.elements])
    assert len(copies.unique(dim=0)) == 64 * people


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
