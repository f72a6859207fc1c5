"""Scorers say what they should, come back as they were saved, and go by the text alone."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from equitune.config import REGARD_LABELS as LABELS
from equitune.io.files import load_tensors, save_tensors
from equitune.language import regard
from equitune.language.regard import (
    TfidfScorer,
    TransformerScorer,
    WordScorer,
    accuracy,
    read_regard,
)
from equitune.language.tokenizer import build_tokenizer

GOOD, BAD, PLAIN = ["kind", "brave", "honest"], ["cruel", "greedy", "rude"], ["tall", "old", "new"]
TEXTS = [
    f"XYZ was known for being {a} and {b}."
    for kind in (GOOD, BAD, PLAIN)
    for a in kind
    for b in kind
]
TEXT_LABELS = [label for label in ("positive", "negative", "neutral") for _ in range(9)]


@pytest.fixture(scope="module")
def tfidf():
    return TfidfScorer.fit(TEXTS, TEXT_LABELS)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A folder with a small BERT of random weights and its tokenizer, as the hub has them."""
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("classifier")
    tokenizer = build_tokenizer(TEXTS)
    tokenizer.model_max_length = 40
    tokenizer.padding_side = "right"  # as BERT's, whose positions count from the left
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        initializer_range=1.0,  # so that labels differ from text to text
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(["Negative", "NEUTRAL", "positive", "other"])),
        label2id={"Negative": 0, "NEUTRAL": 1, "positive": 2, "other": 3},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def renamed(classifier, tmp_path):
    """The same classifier, its labels without a meaning."""
    for file in classifier.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {str(k): f"LABEL_{k}" for k in range(4)}
    config["label2id"] = {f"LABEL_{k}": k for k in range(4)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_labelled_texts_are_read(tmp_path):
    file = tmp_path / "train.tsv"
    file.write_text("-1\tXYZ is rude.\n0\tXYZ is.\n1\tXYZ, a\ttab.\n2\tXYZ is both.\n")
    texts, labels = read_regard(file)
    assert texts == ["XYZ is rude.", "XYZ is.", "XYZ, a\ttab.", "XYZ is both."]
    assert labels == ["negative", "neutral", "positive", "other"]
    assert {*regard.NUMBERS.values()} == {*LABELS}


def test_only_a_newline_ends_a_labelled_text(tmp_path):
    file = tmp_path / "train.tsv"
    file.write_bytes("1\tXYZ is\u2028kind\x0band\u0085brave.\r\n-1\tXYZ is rude.".encode())
    assert read_regard(file)[0] == ["XYZ is\u2028kind\x0band\u0085brave.", "XYZ is rude."]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "train.tsv is empty"),
        (b"1\tXYZ is.\n1 XYZ is.\n", "train.tsv, line 2: expected a number, a tab and a text"),
        (b"1\tXYZ is.\n3\tXYZ is.\n", "train.tsv, line 2: unknown regard '3'"),
        (b"1\tXYZ is.\npositive\tXYZ is.\n", "train.tsv, line 2: unknown regard 'positive'"),
        (b"1\tXYZ is.\n0\tXYZ \xff.\n", "train.tsv, line 2: byte 0xff is not UTF-8"),
    ],
    ids=["empty", "no tab", "unknown number", "a word", "no UTF-8"],
)
def test_a_malformed_file_is_one_line(tmp_path, content, expected):
    file = tmp_path / "train.tsv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.tsv") as error:
        read_regard(file)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_marker_words_decide():
    score = WordScorer(["kind", "brave"], {"cruel"})
    assert score(["XYZ is Kind.", "a CRUEL man", "kind, but cruel", "a kindly man", ""]) == [
        "positive",
        "negative",
        "other",
        "neutral",
        "neutral",
    ]
    assert score([]) == []


def test_a_word_scorer_recognises_its_markers_or_knows_every_word():
    score = WordScorer(["kind"], ["cruel"], ["a", "tall", "kind", "cruel"])
    texts = ["a kind zebra", "a CRUEL zebra", "a tall", "a tall zebra", "", "..."]
    assert score.recognises(texts) == [True, True, True, False, False, False]
    assert WordScorer(["kind"], ["cruel"]).recognises(["a", "kind"]) == [False, True]


def test_a_learnt_scorer_recognises_pieces_that_it_has_learnt(tfidf):
    assert tfidf.recognises(["kind", "unkind", "猫", ""]) == [True, True, False, False]
    assert tfidf.recognises([]) == []


def test_probabilities_of_a_learnt_scorer_fit_its_labels(tfidf):
    shares = tfidf.probabilities(TEXTS)
    assert shares.sum(1) == pytest.approx(1)
    assert (shares[:, 3] == 0).all()  # other was not learnt
    assert [LABELS[place] for place in shares.argmax(1)] == tfidf(TEXTS)
    assert tfidf.probabilities([]).shape == (0, 4)


def test_a_label_that_is_none_is_not_learnt_and_not_loaded(tfidf, tmp_path):
    with pytest.raises(ValueError, match="unknown label 'good': expected one of positive, neutral"):
        TfidfScorer.fit(["a", "b"], ["good", "negative"])
    tfidf.save(tmp_path / "scorer")
    tensors, facts = load_tensors(tmp_path / "scorer")
    save_tensors(tmp_path / "scorer", tensors, facts | {"classes": ["bad", "neutral", "good"]})
    with pytest.raises(ValueError, match=r"scorer: unknown label 'bad': expected one of") as error:
        TfidfScorer.load(tmp_path / "scorer")
    assert "\n" not in str(error.value)


def test_accuracy_counts_no_unknown_label_as_wrong():
    with pytest.raises(ValueError, match="unknown label 'good': expected one of"):
        accuracy(WordScorer(["kind"], ["cruel"]), ["kind"], ["good"])


def test_accuracy_is_the_share_of_equal_labels():
    score = WordScorer(["kind"], ["cruel"])
    texts = ["kind", "cruel", "tall", "kind"]
    assert accuracy(score, texts, ["positive", "negative", "neutral", "other"]) == 0.75


def test_tfidf_learns_what_words_tell(tfidf):
    assert accuracy(tfidf, TEXTS, TEXT_LABELS) == 1
    assert tfidf(["a brave and kind man", "a greedy and cruel man"]) == ["positive", "negative"]
    assert tfidf([]) == []


def test_a_saved_tfidf_scorer_comes_back(tfidf, tmp_path):
    for name in ("first", "again"):
        tfidf.save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    loaded = TfidfScorer.load(tmp_path / "first")
    texts = [
        *TEXTS,
        "",
        "nothing that it knows 🙂",
        *(" ".join(pair) for pair in zip(GOOD, BAD, strict=True)),
    ]
    assert loaded(texts) == tfidf(texts)
    scores = [
        s.classifier.decision_function(s.vectorizer.transform(texts)) for s in (tfidf, loaded)
    ]
    assert (scores[0] == scores[1]).all()
    loaded.save(tmp_path / "loaded")
    assert (tmp_path / "loaded").read_bytes() == (tmp_path / "first").read_bytes()


def test_a_tfidf_scorer_of_two_labels_comes_back(tmp_path):
    scorer = TfidfScorer.fit(TEXTS[:18], TEXT_LABELS[:18])
    scorer.save(tmp_path / "scorer")
    assert TfidfScorer.load(tmp_path / "scorer")(TEXTS[:18]) == scorer(TEXTS[:18])
    assert accuracy(scorer, TEXTS[:18], TEXT_LABELS[:18]) == 1


def test_another_file_is_no_scorer(tmp_path):
    save_tensors(tmp_path / "model.safetensors", {"weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"model\.safetensors holds no TF-IDF scorer: train it"):
        TfidfScorer.load(tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="scorer does not exist"):
        TfidfScorer.load(tmp_path / "scorer")
    (tmp_path / "pickle").write_bytes(pickle.dumps({"words": ["kind"]}))
    with pytest.raises(ValueError, match="no safetensors file"):
        TfidfScorer.load(tmp_path / "pickle")


def test_a_scorer_of_other_settings_is_refused(tfidf, tmp_path, monkeypatch):
    tfidf.save(tmp_path / "scorer")
    settings = TfidfScorer.TFIDF | {"sublinear_tf": False}
    monkeypatch.setattr(TfidfScorer, "TFIDF", settings)
    with pytest.raises(ValueError, match=r"scorer was trained with .*'sublinear_tf': True.* again"):
        TfidfScorer.load(tmp_path / "scorer")


def test_a_saved_scorer_is_numbers_and_words_without_code(tfidf, tmp_path):
    tfidf.save(tmp_path / "scorer")
    tensors, facts = load_tensors(tmp_path / "scorer")
    assert {name: x.dtype for name, x in tensors.items()} == dict.fromkeys(
        ("idf", "coefficients", "intercepts"), torch.float64
    )
    assert facts["classes"] == ["negative", "neutral", "positive"]
    assert len(facts["words"]) == len(tensors["idf"]) == tensors["coefficients"].shape[1]


@pytest.mark.parametrize("train", ["train.tsv", "train_other.tsv"])
def test_the_published_sentences_teach_more_than_the_largest_class(shared, train):
    folder = shared / "mirror" / "nlg-bias"
    scorer = TfidfScorer.fit(*read_regard(folder / train))
    texts, labels = read_regard(folder / "dev.tsv")  # the test part is not for looking at
    assert len(texts) == 60
    largest = max(labels.count(label) for label in LABELS) / len(texts)
    assert accuracy(scorer, texts, labels) > largest + 0.1


def test_a_transformer_says_what_its_model_says(classifier):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    names = ["negative", "neutral", "positive", "other"]
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits
        expected.append(names[int(logits.argmax())])
    assert len(set(expected)) > 2
    assert TransformerScorer(classifier)(TEXTS) == expected


def test_a_transformers_probabilities_are_those_of_its_model(classifier):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer, score = AutoTokenizer.from_pretrained(classifier), TransformerScorer(classifier)
    shares = score.probabilities(TEXTS)
    for text, row in zip(TEXTS, shares, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        expected = logits.double().softmax(-1)[[2, 1, 0, 3]]  # in the order of LABELS
        assert row == pytest.approx(expected.numpy(), abs=1e-5)
    assert score.recognises(["", "x"]) == [True, True]
    assert score.probabilities([]).shape == (0, 4)


def test_labels_that_mean_the_same_add_up(renamed):
    labels = dict.fromkeys((f"LABEL_{k}" for k in range(3)), "negative") | {"LABEL_3": "other"}
    shares = TransformerScorer(renamed, labels).probabilities(TEXTS[:3])
    assert shares.sum(1) == pytest.approx(1)
    assert (shares[:, :2] == 0).all()


def test_a_meaning_of_a_label_that_the_classifier_lacks_is_an_error(classifier):
    with pytest.raises(
        ValueError, match=r"labels: 'LABEL_9' is not a label of .*: expected one of Neg"
    ):
        TransformerScorer(classifier, {"LABEL_9": "negative"})


def test_neighbours_in_a_batch_do_not_matter(classifier, monkeypatch):
    score = TransformerScorer(classifier)
    texts = [" ".join(text.split()[: 2 + k % 7]) for k, text in enumerate(TEXTS)]
    found = score(texts)
    assert score(texts[::-1]) == found[::-1]
    assert [score([text])[0] for text in texts] == found
    monkeypatch.setattr(regard, "BATCH", 5)
    assert score(texts) == found
    assert score([]) == []


def test_a_long_text_is_cut_to_what_the_model_reads(classifier):
    score = TransformerScorer(classifier)
    assert score([" ".join(["kind"] * 500)]) == score([" ".join(["kind"] * 40)])


def test_the_model_says_how_much_it_reads_where_its_tokenizer_does_not(classifier, renamed):
    labels = dict(zip((f"LABEL_{k}" for k in range(4)), LABELS, strict=True))
    settings = json.loads((renamed / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (renamed / "tokenizer_config.json").write_text(json.dumps(settings))
    score = TransformerScorer(renamed, labels)
    assert score.tokenizer.model_max_length > 1000
    assert score([" ".join(["kind"] * 500)]) == score([" ".join(["kind"] * 40)])


def test_labels_of_other_names_take_a_mapping(classifier, renamed):
    labels = {"LABEL_0": "negative", "LABEL_1": "neutral", "LABEL_2": "positive"}
    with pytest.raises(ValueError, match=r"has the labels LABEL_3: say which of positive, neutral"):
        TransformerScorer(renamed, labels)
    with pytest.raises(ValueError, match="has the labels LABEL_0, LABEL_1, LABEL_2, LABEL_3: say"):
        TransformerScorer(renamed)
    labels["LABEL_3"] = "other"
    assert TransformerScorer(renamed, labels)(TEXTS) == TransformerScorer(classifier)(TEXTS)


def test_a_folder_without_a_classifier_is_named(classifier, tmp_path):
    with pytest.raises(ValueError, match="holds no text classifier") as error:
        TransformerScorer(tmp_path)
    assert "\n" not in str(error.value)
    weights = (classifier / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_bytes((classifier / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match="holds no text classifier"):
        TransformerScorer(tmp_path)


def test_a_language_model_without_a_head_is_no_classifier(classifier, tmp_path):
    for file in classifier.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors, _ = load_tensors(tmp_path / "model.safetensors")
    body = {name: x for name, x in tensors.items() if not name.startswith("classifier")}
    save_file(body, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"classifier\.bias, classifier\.weight missing"):
        TransformerScorer(tmp_path)


@pytest.mark.parametrize("name", ["missing", "sasha/regardv3"])
def test_a_folder_that_is_not_there_is_not_asked_for_on_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{name} holds no text classifier: it has no config"):
        TransformerScorer(Path(name))
