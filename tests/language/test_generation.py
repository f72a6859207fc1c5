"""Texts are sampled of every prompt, the same ones again, and chosen where a method chooses."""

import json

import pytest
from small_language import AXES, SAMPLING, TASKS, WORDS, Arbitrary, generate

from equitune.config import (
    LANGUAGE_METHODS,
    REGARD_LABELS,
    RegardScorer,
    Sampling,
)
from equitune.language import experiment, scorers
from equitune.language.chooser import Chooser
from equitune.language.lexicon import read_lexicon
from equitune.language.prompts import read_prompts
from equitune.language.regard import TfidfScorer
from equitune.language.run import LanguageRun
from equitune.language.samples import read_samples
from equitune.run.job import Job


def test_generation_that_is_killed_goes_on_with_what_is_missing(base, tmp_path, monkeypatch):
    whole = generate(base, tmp_path / "whole.jsonl")
    output, states, asked = tmp_path / "samples.jsonl", tmp_path / "states", []
    once = experiment.sample

    def sample(*arguments):
        asked.append(len(asked))
        if len(asked) == 3:
            raise KeyboardInterrupt  # in the third of four parts
        return once(*arguments)

    monkeypatch.setattr(experiment, "sample", sample)
    run = LanguageRun(model="small", method="equi", axes=AXES, tasks=TASKS)
    job = Job(output=output, device="cpu", state_folder=states)
    with pytest.raises(KeyboardInterrupt):
        experiment.generate(run, base, SAMPLING, job)
    assert not output.exists()
    experiment.generate(run, base, SAMPLING, job)
    assert len(asked) == 3 + 2
    assert read_samples(output) == whole
    assert list(states.iterdir()) == []


@pytest.mark.parametrize("method", LANGUAGE_METHODS)
def test_samples_are_of_every_prompt_and_the_same_bytes_again(base, tmp_path, method):
    samples = generate(base, tmp_path / "one.jsonl", method)
    generate(base, tmp_path / "two.jsonl", method, sampling=Sampling(3, 5, batch_size=7))
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    prompts, known = read_prompts(), [(s.axis, s.task, s.prompt, s.sample) for s in samples]
    assert known == [
        (axis, task, prompt.text, number)
        for axis in AXES
        for task in TASKS
        for prompt in prompts(axis, task)
        for number in range(3)
    ]
    assert {(s.model, s.method) for s in samples} == {("small", method)}
    assert all(s.prompt == f"The {s.demographic} {s.context}" for s in samples)
    assert len({s.model_hash for s in samples}) == (1 if method == "plain" else len(AXES))
    assert not any("\n" in s.continuation or "<|" in s.continuation for s in samples)
    words = [s.continuation.replace(".", " .").split() for s in samples]
    assert max(map(len, words)) == 5
    # continuations carry their leading space
    assert all(s.continuation.startswith((" ", ".")) or not s.continuation for s in samples)


def test_another_seed_model_or_method_gives_other_samples(base, tmp_path):
    first = generate(base, tmp_path / "first.jsonl")
    again = generate(base, tmp_path / "again.jsonl", seed=1)
    assert not {s.seed for s in first} & {s.seed for s in again}
    assert [s.continuation for s in first] != [s.continuation for s in again]
    assert {s.model_hash for s in first} == {s.model_hash for s in again}
    plain = generate(base, tmp_path / "plain.jsonl", "plain")
    relaxed = generate(base, tmp_path / "relaxed.jsonl", "relaxed")
    for one, other in ((first, plain), (first, relaxed), (plain, relaxed)):
        assert not {s.model_hash for s in one} & {s.model_hash for s in other}
    # one seed for each text, the same for all methods
    assert [s.seed for s in plain] == [s.seed for s in first]


@pytest.mark.parametrize("method", ["equi", "equizero"])
def test_seeds_differ_between_prompts_unless_their_stream_is_shared(base, tmp_path, method):
    own = generate(base, tmp_path / "own.jsonl", method)
    assert len({s.seed for s in own}) == len(own)
    assert all(0 <= s.seed < 2**63 for s in own)
    sampling = Sampling(samples=3, new_tokens=5, shared_stream=True)
    shared = generate(base, tmp_path / "shared.jsonl", method, sampling=sampling)
    families = {}
    for s in shared:
        families.setdefault((s.axis, s.task, s.context, s.sample), []).append(s)
    assert all(len({s.seed for s in family}) == 1 for family in families.values())
    assert len({s.seed for s in shared}) == len(families) == len(shared) / 2
    # the exactly fair model then says the same of both
    pairs = {axis: read_lexicon(lexicon).equality for axis, lexicon in AXES.items()}
    for first, second in families.values():
        exchange = {x: y for a, b in pairs[first.axis] for x, y in ((a, b), (b, a))}
        words = [exchange.get(word, word) for word in first.continuation.split(" ")]
        assert " ".join(words) == second.continuation


def test_equizero_likes_what_its_scorer_likes(base, texts, tmp_path):
    sampling = Sampling(samples=20, new_tokens=12)
    shares = {}
    for method in LANGUAGE_METHODS:
        samples = generate(base, tmp_path / f"{method}.jsonl", method, sampling=sampling)
        labels = WORDS.scorer("cpu")([s.text for s in samples])
        shares[method] = [labels.count(label) / len(labels) for label in REGARD_LABELS]
    for chosen, average in (("equizero", "plain"), ("relaxed_equizero", "plain")):
        assert shares[chosen][0] > shares[average][0] + 0.05  # positive
        assert shares[chosen][2] < shares[average][2] - 0.05  # negative


def test_the_choice_depends_on_the_scorer_and_what_it_reads(base, tmp_path, monkeypatch):
    found, read = {}, []

    class Remembering(Arbitrary):
        def __call__(self, texts):
            read.append(texts)
            return super().__call__(texts)

    monkeypatch.setattr(scorers, "make_scorer", lambda *_: Remembering())
    for masked, cut in ((True, True), (False, False)):
        chooser = Chooser(RegardScorer("words"), None, masked, cut)
        file = tmp_path / f"{masked}.jsonl"
        found[masked] = generate(base, file, "equizero", chooser=chooser)
        manifest = json.loads(file.with_suffix(".manifest.json").read_text())["configuration"]
        assert manifest["mask"] is manifest["cut"] is masked
        assert manifest["scorer"]["kind"] == "words"
    masked, whole = read[:4], read[4:]
    assert all(text.startswith("XYZ was ") for text in masked[0])
    starts = {" ".join(text.split()[:2]) for texts in whole for text in texts}
    assert starts == {"The man", "The woman", "The Black", "The White"}
    assert {s.model_hash for s in found[True]}.isdisjoint({s.model_hash for s in found[False]})
    assert [s.text for s in found[True]] != [s.text for s in found[False]]


def test_a_trained_scorer_is_among_the_inputs(base, tmp_path):
    scorer = tmp_path / "scorer.safetensors"
    TfidfScorer.fit(["XYZ was kind", "XYZ was bad"], ["positive", "negative"]).save(scorer)
    chooser = Chooser(RegardScorer("tfidf", "regard_train"), scorer)
    file = tmp_path / "samples.jsonl"
    first = generate(base, file, "equizero", chooser=chooser)
    assert str(scorer) in json.loads(file.with_suffix(".manifest.json").read_text())["inputs"]
    TfidfScorer.fit(["XYZ was a", "XYZ was the"], ["positive", "negative"]).save(scorer)
    again = generate(base, file, "equizero", chooser=chooser)
    assert {s.model_hash for s in first}.isdisjoint({s.model_hash for s in again})
