"""Samples come back as they were written, published texts find their prompts, errors name lines."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from equitune.language.prompts import Prompt, read_prompts
from equitune.language.samples import (
    Sample,
    read_published,
    read_samples,
    restore,
    write_samples,
)

SAMPLE = Sample(
    model="small",
    method="equi",
    axis="race",
    task="respect",
    demographic="Black person",
    context="was known for",
    prompt="The Black person was known for",
    continuation=" a kind word.",
    seed=2**62,
    sample=3,
    model_hash="0123456789abcdef",
)
LINE = json.dumps(asdict(SAMPLE))


def line(**changes):
    entry = asdict(SAMPLE) | changes
    return json.dumps({key: value for key, value in entry.items() if value is not None}).encode()


def prompt(text, axis="gender", task="occupation"):
    _, demographic, context = text.split(" ", 2)
    return Prompt(axis, task, demographic, context, text, demographic)


def test_samples_come_back_in_their_order(tmp_path):
    samples = [SAMPLE, replace(SAMPLE, sample=4, continuation=""), SAMPLE]
    write_samples(tmp_path / "samples.jsonl", samples)
    assert read_samples(tmp_path / "samples.jsonl") == samples
    assert SAMPLE.text == "The Black person was known for a kind word."


def test_a_method_that_has_another_name_now_is_read_under_it_and_said(tmp_path, caplog):
    file = tmp_path / "samples.jsonl"
    write_samples(file, [replace(SAMPLE, method="gpt2"), SAMPLE])
    assert read_samples(file) == [replace(SAMPLE, method="plain"), SAMPLE]
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{file}: method gpt2 is read as plain"]


def test_pieces_come_back_and_may_be_missing(tmp_path):
    cut = replace(SAMPLE, pieces=(" a ", "kind", " word."))
    write_samples(tmp_path / "samples.jsonl", [cut, SAMPLE])
    assert read_samples(tmp_path / "samples.jsonl") == [cut, SAMPLE]
    first, second = map(json.loads, (tmp_path / "samples.jsonl").read_text().splitlines())
    assert first["pieces"] == [" a ", "kind", " word."]
    assert "pieces" not in second  # as in files of earlier versions
    assert restore(asdict(cut)) == restore(json.loads(json.dumps(asdict(cut)))) == cut
    assert restore(asdict(SAMPLE)) == SAMPLE
    earlier = asdict(SAMPLE)
    del earlier["pieces"]
    assert restore(earlier) == SAMPLE


def test_no_letter_or_separator_of_a_text_is_lost(tmp_path):
    texts = [' "é…"\t\\', " a\nb\r\nc", " a\u2028b\u0085c\x0bd\x1ee", " 🙂"]
    samples = [replace(SAMPLE, continuation=text) for text in texts]
    write_samples(tmp_path / "samples.jsonl", samples)
    assert read_samples(tmp_path / "samples.jsonl") == samples
    assert "é…" in (tmp_path / "samples.jsonl").read_text(encoding="utf-8")


def test_samples_that_fail_on_the_way_leave_no_file(tmp_path):
    def broken():
        yield SAMPLE
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_samples(tmp_path / "samples.jsonl", broken())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (b"{", "no JSON"),
        (b'["model"]', "expected an object with model, method"),
        (line(seed=None, context=None), "context, seed missing"),
        (line(promt="a"), "unknown entry 'promt'; did you mean 'prompt'"),
        (line(seed="1"), "seed is '1': expected int"),
        (line(sample=True), "sample is True: expected int"),
        (line(sample=1.0), "sample is 1.0: expected int"),
        (line(axis=7), "axis is 7: expected str"),
        (line(pieces=[" a kind ", "word"]), "pieces is [' a kind ', 'word']: expected the contin"),
        (
            line(pieces=[" a cruel word."]),
            "pieces is [' a cruel word.']: expected the continuation",
        ),
        (line(pieces=" a kind word."), "pieces is ' a kind word.': expected the continuation"),
        (line(pieces=[7]), "pieces is [7]: expected the continuation"),
        (line(prompt="x").replace(b'"x"', b'"\xff"'), "UTF-8"),
    ],
    ids=[
        "no JSON",
        "a list",
        "two missing",
        "one misspelt",
        "text for an integer",
        "truth value for an integer",
        "float for an integer",
        "integer for a text",
        "blanks in a piece",
        "another text",
        "text for a list",
        "integers for texts",
        "no UTF-8",
    ],
)
def test_a_malformed_line_is_named(tmp_path, second, expected):
    file = tmp_path / "samples.jsonl"
    file.write_bytes(b"\n".join([line(), second, line()]) + b"\n")
    with pytest.raises(ValueError, match=r"samples\.jsonl, line 2: ") as error:
        read_samples(file)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n\n"], ids=["empty", "blank"])
def test_an_empty_file_holds_no_samples(tmp_path, content):
    file = tmp_path / "samples.jsonl"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"samples\.jsonl holds no samples"):
        read_samples(file)
    with pytest.raises(ValueError, match=r"samples\.jsonl holds no texts"):
        read_published(file, [prompt("The man worked as")], "published")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
CHANGED = st.dictionaries(st.sampled_from([*asdict(SAMPLE), "promt"]), JSON, max_size=2)
LINES = st.binary(max_size=30) | JSON.map(json.dumps).map(str.encode)
LINES |= CHANGED.map(lambda changes: json.dumps(asdict(SAMPLE) | changes).encode())


@example([b"[" * 100_000])
@example([line(prompt="x" * 10_000, seed="y" * 10_000)])
@given(st.lists(LINES, max_size=3))
def test_whatever_a_file_holds_is_samples_or_one_line(tmp_path_factory, lines):
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes(b"\n".join(lines))
    try:
        samples, message = read_samples(file), None
    except ValueError as error:
        samples, message = [], str(error)
    if message is None:
        assert samples
        assert all(type(sample.seed) is int for sample in samples)
        assert all(isinstance(sample.text, str) for sample in samples)
    else:
        assert message.startswith(str(file))  # no other error in disguise
        assert len(message.splitlines()) == 1
        assert len(message) < len(str(file)) + 300


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"samples\.jsonl"):
        read_samples(tmp_path / "samples.jsonl")


def test_published_texts_are_divided_into_prompt_and_continuation(tmp_path):
    file = tmp_path / "published.tsv"
    texts = ["The man worked as a cook.", "The woman worked as", "The man worked as, well, a spy."]
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    prompts = [prompt(f"The {who} worked as") for who in ("man", "woman")]
    samples = read_published(file, iter(prompts), "theirs")
    assert [sample.text for sample in samples] == texts
    assert [sample.continuation for sample in samples] == [" a cook.", "", ", well, a spy."]
    assert [(sample.demographic, sample.sample) for sample in samples] == [
        ("man", 0),
        ("woman", 0),
        ("man", 1),
    ]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    facts = {(s.model, s.method, s.axis, s.task, s.context, s.seed, s.model_hash) for s in samples}
    assert facts == {("theirs", "plain", "gender", "occupation", "worked as", 0, digest)}


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_prompts_that_fit_the_longer_counts(tmp_path, order):
    file = tmp_path / "published.tsv"
    file.write_text("The man worked as a cook for years.\nThe man worked as a cook.\n")
    prompts = [prompt(f"The man worked as{end}") for end in ("", " a cook", " a cook for")][::order]
    samples = read_published(file, prompts, "published")
    assert [sample.continuation for sample in samples] == [" years.", "."]
    assert [sample.sample for sample in samples] == [0, 0]


def test_a_published_text_without_a_known_prompt_is_named(tmp_path):
    file = tmp_path / "published.tsv"
    file.write_text("The man worked as a cook.\nThe dog worked as a cook.\n")
    with pytest.raises(ValueError, match=r"published\.tsv, line 2: 'The dog worked as a cook\.'"):
        read_published(file, [prompt("The man worked as")], "published")
    file.write_bytes(b"The man worked as a cook.\nThe man worked as a \xff.\n")
    with pytest.raises(ValueError, match=r"published\.tsv, line 2: .*UTF-8"):
        read_published(file, [prompt("The man worked as")], "published")


def test_the_published_samples_are_100_of_each_shipped_prompt(shared):
    file = shared / "mirror" / "nlg-bias" / "generated" / "small_gpt2_generated_samples.tsv"
    prompts = list(read_prompts())
    samples = read_published(file, prompts, "published")
    assert Counter(sample.prompt for sample in samples) == {p.text: 100 for p in prompts}
    assert "".join(f"{s.text}\n" for s in samples) == file.read_text(encoding="utf-8")
    assert {sample.sample for sample in samples} == set(range(100))
    assert {sample.model_hash for sample in samples} == {"89732b60b896c222"}
