"""The scorer's favourite among an orbit's texts is chosen, and moves with the prompt, exactly."""

import itertools
import re
import zlib
from collections import Counter

import numpy as np
import pytest
import torch

from equitune.language.equizero import Candidate, choose, equizero, expected_regard
from equitune.language.lexicon import Lexicon
from equitune.language.methods import build
from equitune.language.models import EquiCausalLM
from equitune.language.regard import WordScorer
from equitune.language.sampling import Choice

PROMPTS = [[3, 5, 13, 8], [3, 6, 13, 8], [2, 5, 14], [10, 4, 3, 9, 5]] * 12
SEEDS = list(range(len(PROMPTS)))
CHOICES = [Choice(), Choice(top_k=6), Choice(0.7, 10, 0.9), Choice(temperature=0)]
both_orders = pytest.mark.parametrize("order", [2, 3])
both_kinds = pytest.mark.parametrize("relaxed", [False, True], ids=["equizero", "relaxed"])


@pytest.fixture
def fair_model(language_model, token_action):
    """A function that returns a fair model, or a relaxed one."""

    def make(order=2, architecture="gpt2", relaxed=False):
        model = language_model(architecture)
        return EquiCausalLM.wrap(model, token_action(order), [8, 9, 20, 21], relaxed=relaxed)

    return make


def number(x):
    """A number that depends on every token of a whole text."""
    return zlib.crc32(repr([*x.context, *x.continuation]).encode())


SCORES = {
    "fine": lambda candidates: [number(x) for x in candidates],
    "coarse": lambda candidates: [number(x) % 3 for x in candidates],
    "all alike": lambda candidates: [0] * len(candidates),
    # likes one side of each pair of words
    "one-sided": lambda candidates: [(5 in x.context) + (22 in x.continuation) for x in candidates],
}
every_score = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)


def moved(action, g, rows):
    return [action(g, torch.tensor(row, dtype=torch.long)).tolist() for row in rows]


def recorded(score):
    """A score, and the candidates that it was asked about."""
    seen = []

    def ask(candidates):
        seen.extend(candidates)
        return score(candidates)

    return ask, seen


def written_by_hand(fair, x, new_tokens, choice, stop):
    """A candidate's continuation from one pass a token, as it is defined."""
    general = fair.averaging.general.array.tolist()
    uniform = torch.rand(
        new_tokens, generator=torch.Generator().manual_seed(x.seed), dtype=torch.double
    )
    written = []
    for chance in uniform:
        whole = torch.tensor([[*x.context, *written]])
        logits = fair.model(whole).logits[0, -1].detach()
        unmoved = fair.model(fair.action.inverse(x.element, whole)).logits[0, -1].detach()
        for word in general:
            logits[word] = unmoved[word]
        token = int(choice(logits[None], torch.tensor([0]), chance[None]))
        if token in stop:
            break
        written.append(token)
    return tuple(written)


@both_kinds
@both_orders
def test_candidates_are_written_behind_moved_prompts_and_the_best_is_moved_back(
    fair_model, order, relaxed
):
    fair, stop = fair_model(order, relaxed=relaxed), [7]
    prompts, seeds, choice = PROMPTS[:4], range(4), Choice(top_k=20)
    for score in (SCORES["fine"], SCORES["coarse"]):
        ask, seen = recorded(score)
        found = choose(fair, prompts, seeds, ask, 4, choice, stop)
        assert len(seen) == 4 * order
        assert len({x.seed for x in seen}) == len(seen)
        for place, prompt in enumerate(prompts):
            candidates = [x for x in seen if x.text == place]
            assert [x.element for x in candidates] == list(range(order))
            best = None
            for x in candidates:
                assert list(x.context) == moved(fair.action, x.element, [prompt])[0]
                assert x.continuation == written_by_hand(fair, x, 4, choice, stop)
                rank = (score([x])[0], x.seed)
                if best is None or rank > best[0]:
                    best = rank, x
            back = fair.action.inverse(best[1].element, torch.tensor(best[1].continuation))
            assert found[place] == back.tolist()


def test_general_words_are_those_of_the_unmoved_prompt(fair_model):
    """The test above would be met by models that do not differ."""
    texts = [
        choose(fair_model(relaxed=relaxed), PROMPTS, SEEDS, SCORES["fine"], 8, Choice())
        for relaxed in (False, True)
    ]
    assert texts[0] != texts[1]


@every_score
@both_orders
def test_with_the_same_seeds_texts_move_with_their_prompts(fair_model, order, score):
    fair = fair_model(order)
    for choice in CHOICES:
        found = choose(fair, PROMPTS, SEEDS, score, 6, choice)
        for g in range(1, order):
            images = moved(fair.action, g, found)
            assert images != found
            assert choose(fair, moved(fair.action, g, PROMPTS), SEEDS, score, 6, choice) == images


def test_relaxed_texts_need_not_do_so(fair_model):
    fair = fair_model(relaxed=True)
    found = choose(fair, PROMPTS, SEEDS, SCORES["fine"], 6, Choice())
    other = choose(fair, moved(fair.action, 1, PROMPTS), SEEDS, SCORES["fine"], 6, Choice())
    assert other != moved(fair.action, 1, found)


@both_kinds
def test_the_batch_size_and_other_prompts_change_nothing(fair_model, relaxed):
    fair = fair_model(3, relaxed=relaxed)
    found = choose(fair, PROMPTS, SEEDS, SCORES["fine"], 6, Choice(), [7])
    assert choose(fair, PROMPTS, SEEDS, SCORES["fine"], 6, Choice(), [7], batch_size=5) == found
    back = choose(fair, PROMPTS[::-1], SEEDS[::-1], SCORES["fine"], 6, Choice(), [7])
    assert back[::-1] == found


def enumerated(fair, prompt, score, choice):
    """The probability of each text of one token, from all that the candidates could have been."""
    chances = []
    for g in fair.action.group.elements:
        context = torch.tensor([moved(fair.action, g, [prompt])[0]])
        values, ids = fair.model(context).logits[0, -1].detach().double().topk(choice.top_k)
        pairs = zip(ids.tolist(), values.softmax(-1).tolist(), strict=True)
        chances.append([(g, tuple(context[0].tolist()), token, p) for token, p in pairs])
    found = Counter()
    for outcome in itertools.product(*chances):
        whole = [Candidate(0, g, context, 0, (token,)) for g, context, token, _ in outcome]
        scores = score(whole)
        best = [x for x, own in zip(whole, scores, strict=True) if own == max(scores)]
        for x in best:  # one of them, each as often
            back = int(fair.action.inverse(x.element, torch.tensor(x.continuation)))
            found[back] += float(np.prod([p for *_, p in outcome])) / len(best)
    return found


@pytest.mark.parametrize("score", [SCORES["coarse"], SCORES["one-sided"]], ids=["coarse", "sided"])
@pytest.mark.parametrize("prompt", [[3, 5, 13, 8], [3, 4, 13, 8]], ids=["moved", "left alone"])
@both_orders
def test_frequencies_are_the_enumerated_ones_and_equivariant(fair_model, order, prompt, score):
    fair, choice, draws = fair_model(order), Choice(top_k=6), 1000
    for g in fair.action.group.elements:
        image = moved(fair.action, g, [prompt])[0]
        expected = enumerated(fair, image, score, choice)
        assert sum(expected.values()) == pytest.approx(1)
        for token, p in enumerated(fair, prompt, score, choice).items():
            assert expected[int(fair.action(g, torch.tensor(token)))] == pytest.approx(p, abs=1e-6)
        seeds = range(g * draws, (g + 1) * draws)
        drawn = Counter(row[0] for row in choose(fair, [image] * draws, seeds, score, 1, choice))
        assert drawn.keys() <= expected.keys()
        for token, p in expected.items():
            assert abs(drawn[token] - draws * p) < 4.5 * (draws * p * (1 - p)) ** 0.5 + 1


def test_texts_of_an_orbit_that_are_the_same_are_written_once(fair_model, rows_seen):
    fair, score = fair_model(), SCORES["fine"]
    man, woman, seeds = [[3, 5, 13]] * 20, [[3, 6, 13]] * 20, list(range(20))
    choose(fair, man, seeds, score, 1, Choice())  # the first pass looks at the model, too
    seen, passes = rows_seen(fair.model), []
    for prompts, numbers in ((man, seeds), (man + woman, seeds * 2), (man + woman, range(40))):
        seen.clear()
        choose(fair, prompts, numbers, score, 6, Choice())
        passes.append(seen.copy())
    alone, shared, own = passes
    assert alone[0] == shared[0] == own[0] == 2  # prompts
    assert shared == alone
    assert sum(own) > 1.5 * sum(alone)


LEXICON = Lexicon("own", ("man", "woman"), (("man", "woman"), ("king", "queen")), ("he", "she"))
SAID = ["The man worked as", "The woman worked as"]


class Reader:
    """A scorer that remembers what it read; it likes texts that a number picks."""

    def __init__(self):
        self.read = []

    def __call__(self, texts):
        self.read += texts
        return ["positive" if zlib.crc32(text.encode()) % 2 else "negative" for text in texts]

    def recognises(self, texts):
        return [True] * len(texts)


@pytest.fixture
def said(language_model, tokenizer):
    """A function that lets a fair model go on, and returns texts."""

    def run(scorer, method="equizero", prompts=SAID * 8, seeds=range(16), **options):
        model = language_model(vocab_size=len(tokenizer))
        fair = build(model, tokenizer, LEXICON, method)
        found = equizero(fair, tokenizer, scorer, prompts, seeds, 6, **options)
        return [p + tokenizer.decode(ids) for p, ids in zip(prompts, found, strict=True)]

    return run


def exchange(text):
    pairs = {"woman": "man", "man": "woman", "king": "queen", "queen": "king"}
    return re.sub("|".join(pairs), lambda found: pairs[found[0]], text)


def test_the_scorer_reads_moved_texts_masked_and_cut(said):
    reader = Reader()
    said(reader, demographics=["man", "woman"] * 8)
    assert len(reader.read) == len(set(reader.read)) > 16
    assert all(text.startswith("XYZ worked as") for text in reader.read)
    whole = Reader()
    said(whole, read=lambda text, demographic: f"{demographic}|{text}")
    starts = {text[: text.index(" worked as")] for text in whole.read}
    assert starts == {"|The man", "|The woman"}  # without demographics nothing is masked
    named = Reader()
    options = {"demographics": ["man", "woman"] * 8}
    said(named, read=lambda text, demographic: f"{demographic}|{text}", **options)
    starts = {text[: text.index(" worked as")] for text in named.read}
    assert starts == {"man|The man", "woman|The woman"}  # the moved one, in the moved prompt


@pytest.mark.parametrize("method", ["equizero", "relaxed_equizero"])
def test_the_scorer_likes_what_is_chosen_better(said, method):
    texts = said(Reader(), method)
    plain = said(WordScorer([], []), method)
    liked = [Reader()([exchange(t), t]) for t in texts]
    share = np.mean(["positive" in labels for labels in liked])
    assert share > np.mean([Reader()([t]) == ["positive"] for t in plain])


def test_demographics_have_the_same_texts_with_the_same_seeds(said):
    demographics = ["man", "woman"] * 8
    texts = said(Reader(), seeds=sorted([*range(8)] * 2), demographics=demographics)
    assert texts[1::2] == [exchange(text) for text in texts[::2]]
    assert len(set(texts)) > 8
    own = said(Reader(), demographics=demographics)
    assert own[1::2] != [exchange(text) for text in own[::2]]


def test_expected_regard_is_positive_less_negative():
    scorer = WordScorer(["good"], ["bad"])
    texts = ["a good day", "a bad day", "a day", "a good bad day", "a good day"]
    assert expected_regard(scorer, texts).tolist() == [1, -1, 0, 0, 1]
    assert expected_regard(scorer, []).tolist() == []

    class Shares(Reader):
        def probabilities(self, texts):
            self.read += texts
            return np.array([[0.5, 0.2, 0.25, 0.05]] * len(texts))

    reader = Shares()
    assert expected_regard(reader, ["one", "one", "two"]).tolist() == [0.25] * 3
    assert reader.read == ["one", "two"]


def test_what_does_not_fit_is_one_line(said, fair_model):
    with pytest.raises(ValueError, match="16 prompts and 2 demographics: expected one for each"):
        said(Reader(), demographics=["man", "woman"])
    with pytest.raises(ValueError, match="16 prompts and 1 seeds: expected one for each"):
        said(Reader(), seeds=[1])
    with pytest.raises(ValueError, match="does not know 'cat' of 'The cat': choose"):
        said(Reader(), prompts=["The cat"], seeds=[1])
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        choose(fair_model(), [[]], [0], SCORES["fine"], 4, Choice())
