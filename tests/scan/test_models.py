"""The sequence models: published size, and no influence of padding, batch or cutting in steps."""

import pytest
import torch

from equitune.scan.data import ACTIONS, COMMANDS
from equitune.scan.models import Dropout, Seq2Seq

ARCHITECTURES = ["RNN", "GRU", "LSTM"]


def make(architecture):
    torch.manual_seed(0)
    model = Seq2Seq(architecture, len(COMMANDS), len(ACTIONS)).double().eval()
    for embedding in (model.command_embedding, model.action_embedding):
        torch.nn.init.normal_(embedding.weight)  # far from zero: differences show
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    commands = torch.randint(2, len(COMMANDS), (4, 6), generator=generator)
    for row, length in enumerate((6, 3, 1, 5)):
        commands[row, length:] = 0
    prefixes = torch.randint(2, len(ACTIONS), (4, 7), generator=generator)
    prefixes[:, 0] = 0
    return commands, prefixes


@pytest.mark.parametrize(
    ("architecture", "parameters"), [("RNN", 85_576), ("GRU", 184_904), ("LSTM", 234_568)]
)
def test_number_of_parameters_is_the_papers(architecture, parameters):
    assert sum(p.numel() for p in make(architecture).parameters()) == parameters


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_encoder_reads_as_torchs_own_bidirectional_layer(architecture, batch):
    model, (commands, _) = make(architecture), batch
    for row, length in enumerate((6, 3, 1, 5)):
        memory = model.encode(commands[row : row + 1, :length])
        keys, state = model.encoder(model.command_embedding(commands[row : row + 1, :length]))
        torch.testing.assert_close(memory.keys, keys)
        final = state if isinstance(state, tuple) else (state,)
        for found, wanted in zip(memory.state, final, strict=True):
            torch.testing.assert_close(found, wanted.transpose(0, 1).flatten(1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_and_neighbours_change_nothing(architecture, batch):
    model, (commands, prefixes) = make(architecture), batch
    together = model(commands, prefixes)
    for row, length in enumerate((6, 3, 1, 5)):
        alone = model(commands[row : row + 1, :length], prefixes[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_give_what_the_whole_gives(architecture, batch):
    model, (commands, prefixes) = make(architecture), batch
    memory, steps = model.encode(commands), []
    for position in range(prefixes.shape[1]):
        step, memory = model.decode(prefixes[:, position : position + 1], memory)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, 1), model(commands, prefixes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_position_sees_only_the_actions_before_it(architecture, batch):
    model, (commands, prefixes) = make(architecture), batch
    changed = prefixes.clone()
    changed[:, 4] = (changed[:, 4] + 1) % len(ACTIONS)
    before, after = model(commands, prefixes), model(commands, changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_are_log_probabilities(architecture, batch):
    outputs = make(architecture)(*batch)
    torch.testing.assert_close(outputs.exp().sum(-1), torch.ones(4, 7, dtype=torch.double))


def test_unknown_architecture_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="'CNN'; did you mean 'RNN'"):
        Seq2Seq("CNN", 15, 8)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
def test_dropout_drops_its_share_and_scales_the_rest(p):
    torch.manual_seed(0)
    x = torch.full((999, 3, 101), 2.0, requires_grad=True)  # no multiple of four
    y = Dropout(p)(x)
    dropped = y == 0
    assert dropped.double().mean().item() == pytest.approx(p, abs=0.004)  # 5 σ is below it
    assert dropped.double().mean((0, 1)).std() < 0.02  # no column is favoured
    torch.testing.assert_close(y[~dropped], torch.full_like(y[~dropped], 2 / (1 - p)))
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() / 2)


def test_dropout_follows_the_seed_and_rests_in_evaluation():
    x, layer = torch.ones(64), Dropout(0.5)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)
    assert layer.eval()(x) is x
