"""Pairs come back as they were read, splits keep their promises, groups permute words."""

import pytest
import torch

from equitune.io.files import save_tensors
from equitune.scan import data, grammar
from equitune.scan.data import ACTIONS, COMMANDS, Pairs

SMALL = [
    ("walk", "I_WALK"),
    ("jump twice", "I_JUMP I_JUMP"),
    ("turn left and look", "I_TURN_LEFT I_LOOK"),
]


def as_pairs(lines):
    return [tuple(line.removeprefix("IN: ").split(" OUT: ")) for line in lines]


def as_texts(pairs):
    return [
        (" ".join(COMMANDS.decode(command)), " ".join(ACTIONS.decode(actions)))
        for command, actions in zip(pairs.commands, pairs.actions, strict=True)
    ]


@pytest.fixture(scope="module")
def split():
    """Every 15th line of add_jump, the bare command still many times over."""
    train, test = grammar.split("add_jump")
    return as_pairs(train[::15]), as_pairs(test[::15])


def test_vocabularies_have_the_published_sizes_and_number_their_words():
    assert (len(COMMANDS), len(ACTIONS)) == (15, 8)
    assert COMMANDS.words[:2] == ACTIONS.words[:2] == ("<start>", "<end>")
    for vocabulary in (COMMANDS, ACTIONS):
        assert [vocabulary.index(word) for word in vocabulary.words] == [*range(len(vocabulary))]


def test_words_come_back_up_to_the_end():
    words = ["jump", "around", "left"]
    ids = COMMANDS.encode(words)
    assert min(ids) > 1
    assert COMMANDS.decode(ids) == words
    assert COMMANDS.decode(torch.tensor([*ids, 1, ids[0], 0])) == words
    assert COMMANDS.decode([0, ids[1]]) == ["<start>", "around"]


def test_unknown_words_and_ids_are_named():
    with pytest.raises(ValueError, match="unknown word 'jmup'; did you mean 'jump'"):
        COMMANDS.encode(["walk", "jmup"])
    with pytest.raises(ValueError, match="did you mean 'I_TURN_LEFT' or 'I_TURN_RIGHT'"):
        ACTIONS.index("TURN_LEFT")
    with pytest.raises(ValueError, match="id 8 is outside the vocabulary 0 … 7"):
        ACTIONS.decode([2, 8])


def test_pairs_are_ended_and_padded():
    pairs = Pairs.encode(SMALL)
    assert pairs.commands.tolist()[0] == [COMMANDS.index("walk"), 1, 0, 0, 0]
    assert pairs.actions.tolist()[1] == [ACTIONS.index("I_JUMP")] * 2 + [1]
    assert pairs.lengths.tolist() == [2, 3, 3]
    assert as_texts(pairs) == SMALL


def test_pairs_are_sliced_by_index_mask_and_slice():
    pairs = Pairs.encode(SMALL)
    for rows in (torch.tensor([2, 0]), torch.tensor([True, False, True]), slice(1, None), [1]):
        assert torch.equal(pairs[rows].commands, pairs.commands[rows])
        assert torch.equal(pairs[rows].actions, pairs.actions[rows])
        assert len(pairs[rows]) == len(pairs.commands[rows])


def test_pairs_with_an_unknown_word_or_none_are_refused():
    with pytest.raises(ValueError, match=r"pair \('wlak', 'I_WALK'\): unknown word 'wlak'; did"):
        Pairs.encode([("wlak", "I_WALK")])
    with pytest.raises(ValueError, match="no pairs"):
        Pairs.encode([])


def test_a_file_in_the_published_format_is_read(tmp_path):
    file = tmp_path / "train.txt"
    lines = [grammar.format_line(*pair) for pair in SMALL]
    file.write_text("\n".join(lines) + "\n")
    assert data.read_pairs(file) == SMALL
    file.write_bytes("\r\n".join(lines).encode())
    assert data.read_pairs(file) == SMALL


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "train.txt is empty"),
        (b"IN: walk OUT: I_WALK\nIN: run I_RUN\n", "train.txt:2: 'IN: run I_RUN': expected a line"),
        (b"IN: walk OUT:\n", "train.txt:1: 'IN: walk OUT:': expected a line"),
        (
            b"IN: walk OUT: I_WALK\nIN: w\xffk OUT: I_WALK\n",
            "train.txt, line 2: byte 0xff is not UTF-8",
        ),
        (b"<html>" + b"x" * 900, "train.txt:1: '<html>xxx"),
    ],
    ids=["empty", "no OUT", "no actions", "no UTF-8", "page of a website"],
)
def test_a_malformed_file_is_one_line(tmp_path, content, text):
    file = tmp_path / "train.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.txt") as error:
        data.read_pairs(file)
    assert text in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train\.txt does not exist"):
        data.read_pairs(tmp_path / "train.txt")


def test_the_parts_are_all_there_and_share_no_command(split):
    train, test = split
    dataset = data.build_dataset(train, test, seed=0, validation_fraction=0.2)
    texts = {name: as_texts(pairs) for name, pairs in dataset.items()}
    assert list(texts) == ["train", "validation", "test"]
    assert sorted(texts["train"] + texts["validation"]) == sorted(train)
    assert sorted(texts["test"]) == sorted(test)
    assert not set(texts["train"]) & set(texts["validation"])
    repeated = train.count(("jump", "I_JUMP"))
    assert repeated > 50
    assert texts["train"].count(("jump", "I_JUMP")) == repeated
    assert len(texts["validation"]) == round(0.2 * (len(train) - repeated))


def test_the_seed_and_nothing_else_decides_the_split(split):
    train, test = split

    def build(seed, train=train, subset=None):
        return data.build_dataset(train, test, seed, 0.2, subset)

    for subset in (None, 50):
        first, again = build(1, subset=subset), build(1, train[::-1], subset)
        for name, pairs in first.items():
            assert torch.equal(pairs.commands, again[name].commands)
            assert torch.equal(pairs.actions, again[name].actions)
    assert set(as_texts(build(1)["validation"])) != set(as_texts(build(2)["validation"]))


def test_a_subset_is_a_part_of_each_part(split):
    whole = data.build_dataset(*split, seed=1, validation_fraction=0.2)
    part = data.build_dataset(*split, seed=1, validation_fraction=0.2, subset=190)
    assert [len(part[name]) for name in part] == [190, len(whole["validation"]), 190]
    for name in part:
        assert set(as_texts(part[name])) <= set(as_texts(whole[name]))


def test_the_published_files_give_the_generated_dataset(tmp_path, shared):
    scan = shared / "mirror" / "scan"
    files = [scan / f"tasks_{part}_addprim_jump.txt" for part in ("train", "test")]
    for name, parts in {
        "published": [data.read_pairs(file) for file in files],
        "generated": [as_pairs(lines) for lines in grammar.split("add_jump")],
    }.items():
        dataset = data.build_dataset(*parts, seed=0, validation_fraction=0.2)
        assert [len(dataset[name]) for name in dataset] == [12029, 2641, 7706]
        data.save_dataset(tmp_path / name, dataset, task="add_jump")
    assert (tmp_path / "published").read_bytes() == (tmp_path / "generated").read_bytes()


def test_impossible_splits_are_refused(split):
    for fraction in (0, 1, 1.5, -0.1):
        with pytest.raises(ValueError, match="expected 0 < it < 1"):
            data.build_dataset(*split, seed=0, validation_fraction=fraction)
    with pytest.raises(ValueError, match="subset is 0"):
        data.build_dataset(*split, seed=0, validation_fraction=0.2, subset=0)
    with pytest.raises(ValueError, match="the validation part is empty: 3 training pairs"):
        data.build_dataset([SMALL[0]] * 3, SMALL, seed=0, validation_fraction=0.5)
    with pytest.raises(ValueError, match="the test part is empty"):
        data.build_dataset(SMALL, [], seed=0, validation_fraction=0.5)


def test_a_dataset_comes_back_and_is_the_same_bytes(split, tmp_path):
    dataset = data.build_dataset(*split, seed=3, validation_fraction=0.2)
    facts = {"task": "add_jump", "seed": 3, "validation_fraction": 0.2}
    for name in ("first", "again"):
        data.save_dataset(tmp_path / name, dataset, **facts)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    loaded, read = data.load_dataset(tmp_path / "first")
    assert read == {**facts, "counts": {name: len(pairs) for name, pairs in dataset.items()}}
    for name, pairs in dataset.items():
        assert torch.equal(loaded[name].commands, pairs.commands)
        assert torch.equal(loaded[name].actions, pairs.actions)
        assert {side.dtype for side in loaded[name].sides} == {torch.uint8}
        assert {side.dtype for side in loaded[name].trimmed().sides} == {torch.long}


def test_another_file_is_no_dataset(tmp_path):
    save_tensors(tmp_path / "model.safetensors", {"weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"model\.safetensors is not of kind SCAN dataset: make"):
        data.load_dataset(tmp_path / "model.safetensors")


def test_pairs_trim_padding_and_give_the_actions_before_each_position():
    pairs = Pairs.encode([("walk", "I_WALK"), ("turn left twice", "I_TURN_LEFT I_TURN_LEFT")])
    assert pairs[:1].commands.shape == (1, 4)
    trimmed = pairs[:1].trimmed()
    assert trimmed.commands.shape == (1, 2)
    assert trimmed.actions.shape == (1, 2)
    walk, left = data.ACTIONS.encode(["I_WALK", "I_TURN_LEFT"])
    assert pairs.prefixes().tolist() == [[0, walk, 1], [0, left, left]]
    assert trimmed.prefixes().tolist() == [[0, walk]]


def test_a_folder_is_called_one(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder: expected a file of lines IN: … OUT"):
        data.read_pairs(tmp_path)
