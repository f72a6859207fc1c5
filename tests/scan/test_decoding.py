"""Greedy decoding in step: exactly equivariant, and the same as a plain loop."""

import pytest
import torch

from equitune.config import SCAN_METHODS, Permutation, Seq2SeqModel
from equitune.scan.data import ACTIONS, COMMANDS, END, START, Pairs
from equitune.scan.decoding import greedy, next_actions
from equitune.scan.evaluation import exact_match
from equitune.scan.models import build, entropy
from equitune.scan.words import word_group

GROUPS = {
    "right_left": Permutation(
        commands=[["right", "left"]], actions=[["I_TURN_RIGHT", "I_TURN_LEFT"]]
    ),
    "verbs": Permutation(
        commands=[["jump", "run", "walk", "look"]],
        actions=[["I_JUMP", "I_RUN", "I_WALK", "I_LOOK"]],
    ),
    "both": Permutation(  # order 6: inverses and elements differ
        commands=[["jump", "run", "walk"], ["right", "left"]],
        actions=[["I_JUMP", "I_RUN", "I_WALK"], ["I_TURN_RIGHT", "I_TURN_LEFT"]],
    ),
}
SENTENCES = [
    "jump",
    "turn left",
    "look twice and walk",
    "turn opposite right after run left",
    "jump around right thrice and jump",
    "run opposite left twice after walk right twice",
]


def model_of(method, group, architecture="GRU"):
    torch.manual_seed(2)
    permutation = GROUPS[group] if isinstance(group, str) else group
    model = build(architecture, Seq2SeqModel(), method, permutation).double().eval()
    for parameter in model.module.parameters():
        parameter.data.normal_(std=0.5)  # an untrained model that does not say the same always
    model.module.output.bias.data[END] = -2  # nor ends at once
    return model


def encoded(sentences=SENTENCES):
    ids = [[*COMMANDS.encode(sentence.split()), END] for sentence in sentences]
    padded = torch.full((len(ids), max(map(len, ids))), START)
    for row, sentence in enumerate(ids):
        padded[row, : len(sentence)] = torch.tensor(sentence)
    return padded


@pytest.mark.parametrize("method", ["equitune", "lambda_equitune", "equizero"])
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("architecture", ["RNN", "GRU", "LSTM"])
def test_the_decoded_model_is_exactly_equivariant(method, group, architecture):
    model, commands = model_of(method, group, architecture), encoded()
    words, actions = word_group(vars(GROUPS[group]))
    decoded = greedy(model, commands)
    assert len(decoded.unique(dim=0)) > 2  # otherwise the test would see little
    for g in words.group.elements:
        assert torch.equal(greedy(model, words(g, commands)), actions(g, decoded))


def test_ids_may_be_bytes_as_a_dataset_has_them():
    model, commands = model_of("equitune", "verbs"), encoded()
    decoded = greedy(model, commands.to(torch.uint8))
    assert decoded.dtype == torch.int64
    assert torch.equal(decoded, greedy(model, commands))


def test_the_plain_model_is_not_equivariant():
    model, commands = model_of("finetune", "verbs"), encoded()
    plain = build("GRU", Seq2SeqModel(), "finetune", Permutation()).double().eval()
    plain.module.load_state_dict(model.module.state_dict())
    words, actions = word_group(vars(GROUPS["verbs"]))
    decoded = greedy(plain, commands)
    assert not torch.equal(greedy(plain, words(1, commands)), actions(1, decoded))


@pytest.mark.parametrize("method", SCAN_METHODS)
def test_decoding_in_step_is_the_plain_loop_over_branches(method):
    """Each command alone, every branch encoded and decoded afresh from its whole prefix."""
    group = GROUPS["verbs"] if method not in ("pretrained", "finetune") else Permutation()
    model = model_of(method, group, "LSTM")
    decoded = greedy(model, encoded(), steps=12)
    words, actions = word_group(vars(group))
    for sentence, row in zip(SENTENCES, decoded, strict=True):
        command, chosen = encoded([sentence]), []
        for _ in range(12):
            prefix = torch.tensor([[START, *chosen]])
            branches = []
            for g in words.group.elements:
                output = model.module(words(g, command), actions(g, prefix))[:, -1]
                # log p of a on the branch's own terms: entry g·a
                images = [int(actions(g, torch.tensor(a))) for a in range(len(ACTIONS))]
                branches.append((output, output[:, images]))
            if method == "equizero":
                scores = torch.stack([entropy(output)[0, 0] for output, _ in branches])
                best = (scores - scores.min()).abs() < 1e-12
                combined = sum(b for (_, b), ok in zip(branches, best, strict=True) if ok)
            elif method == "lambda_equitune":
                weights = [model.combine.net(output) for output, _ in branches]
                combined = sum(w * b for w, (_, b) in zip(weights, branches, strict=True))
            else:
                combined = sum(b for _, b in branches)
            fixers = [
                g
                for g in words.group.elements
                if torch.equal(words(g, command), command)
                and torch.equal(actions(g, prefix), prefix)
            ]
            for action in range(len(ACTIONS)):
                if any(int(actions(g, torch.tensor(action))) != action for g in fixers):
                    combined[0, action] = -torch.inf
            combined[0, START] = -torch.inf
            choice = int(combined[0].argmax())
            chosen.append(choice)
            if choice == END:
                break
        assert row[: len(chosen)].tolist() == chosen
        assert (row[len(chosen) :] == START).all()


def test_equal_copies_are_computed_once(monkeypatch):
    model = model_of("equitune", "verbs")
    rows = []
    decode = model.module.decode
    monkeypatch.setattr(
        model.module,
        "decode",
        lambda tokens, memory: rows.append(len(tokens)) or decode(tokens, memory),
    )
    greedy(model, encoded(["turn left", "turn right", "jump"]), steps=1)
    assert rows == [2 + 4]


def test_batch_neighbours_change_nothing():
    model, commands = model_of("equitune", "verbs"), encoded()
    together = greedy(model, commands)
    for row, sentence in enumerate(SENTENCES):
        assert torch.equal(greedy(model, encoded([sentence]))[0], together[row])


@pytest.mark.parametrize("method", SCAN_METHODS)
@pytest.mark.parametrize("group", GROUPS)
def test_one_pass_over_all_positions_chooses_what_decoding_in_step_chooses(method, group):
    model, commands = model_of(method, group), encoded()
    decoded = greedy(model, commands)
    prefixes = torch.nn.functional.pad(decoded, (1, -1), value=START)
    choices = next_actions(model, commands, prefixes)
    ended = (decoded == END).long().cumsum(1) - (decoded == END).long() > 0
    assert torch.equal(choices[~ended], decoded[~ended])


def test_exact_match_counts_what_greedy_decoding_gets_right():
    model, commands = model_of("equitune", "verbs"), encoded()
    model.module.output.bias.data[END] = 1
    decoded = greedy(model, commands)
    finished = (decoded == END).any(1)
    assert finished.any()
    actions = decoded[finished]
    truth = Pairs(commands[finished], actions)
    assert exact_match(model, truth) == 1
    wrong = actions.clone()
    wrong[0, 0] = END + 1 if int(wrong[0, 0]) != END + 1 else END + 2
    assert exact_match(model, Pairs(commands[finished], wrong)) == 1 - 1 / len(actions)
