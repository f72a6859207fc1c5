"""SCAN training and evaluation written the way of the published research code, for comparison.

One command at a time; every action a call of the decoder; the group applied to words through a
dictionary, the branches run one after the other. Only the order of work is taken over: the model
is the project's own `Seq2Seq`, through its `torch.nn` layers.
"""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

from equitune.scan.data import ACTIONS, COMMANDS, END, START
from equitune.scan.models import Seq2Seq

TEACHER_FORCING = 0.5
MAX_STEPS = 50


def to_ids(words: list[str], vocabulary: object) -> Tensor:
    """One sentence as a batch of one: (1, length), the end included."""
    return torch.tensor([[vocabulary.index(word) for word in words] + [END]])  # type: ignore[attr-defined]


class PaperLoop:
    """The model, its optimizer, and the group as dictionaries of words, one for each element.

    Args:
        model: a plain sequence model.
        elements: for each element of the group, how it maps command words and action words.
    """

    def __init__(
        self, model: Seq2Seq, elements: list[tuple[dict[str, str], dict[str, str]]]
    ) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
        self.elements = elements
        self.random = random.Random(0)

    def decoder_step(self, token: Tensor, state: object, keys: Tensor) -> tuple[Tensor, object]:
        """One action: (1, 1) ids to (1, actions) log-probabilities and the next state."""
        model = self.model
        output, state = model.decoder(model.action_embedding(token), state)
        weights = F.softmax(output @ keys.transpose(1, 2), -1)
        joined = F.dropout(torch.cat([weights @ keys, output], -1), model.dropout.p, model.training)
        mixed = torch.tanh(model.mix(joined))
        return F.log_softmax(model.output(mixed)[:, 0], -1), state

    def encode(self, words: list[str]) -> tuple[Tensor, object]:
        """Read one command: keys (1, length, width), and the decoder's first state."""
        keys, state = self.model.encoder(self.model.command_embedding(to_ids(words, COMMANDS)))
        states = state if isinstance(state, tuple) else (state,)
        joined = tuple(s.transpose(0, 1).reshape(1, 1, -1) for s in states)
        return keys, joined if len(joined) > 1 else joined[0]

    def branch(self, words: list[str], actions: list[str] | None, forced: bool) -> list[Tensor]:
        """Log-probabilities of every position for one command, decoded action by action."""
        keys, state = self.encode(words)
        target = None if actions is None else to_ids(actions, ACTIONS)
        token, outputs = torch.tensor([[START]]), []
        for position in range(MAX_STEPS if target is None else target.shape[1]):
            output, state = self.decoder_step(token, state, keys)
            outputs.append(output)
            choice = output.argmax(-1, keepdim=True)
            if target is None and choice.item() == END:
                break
            token = target[:, position : position + 1] if forced and target is not None else choice
        return outputs

    def combined(self, words: list[str], actions: list[str] | None, forced: bool) -> list[Tensor]:
        """Mean over the group of the branches' log-probabilities, moved back word by word."""
        branches = []
        for on_commands, on_actions in self.elements:
            moved = [on_commands.get(word, word) for word in words]
            aim = None if actions is None else [on_actions.get(word, word) for word in actions]
            back = [ACTIONS.index(on_actions.get(word, word)) for word in ACTIONS.words]
            branches.append([output[:, back] for output in self.branch(moved, aim, forced)])
        longest = max(map(len, branches))
        zero = torch.zeros(1, len(ACTIONS))
        padded = [branch + [zero] * (longest - len(branch)) for branch in branches]
        return [torch.stack(position).mean(0) for position in zip(*padded, strict=True)]

    def train(self, words: list[str], actions: list[str]) -> float:
        """One training step on one command."""
        forced = self.random.random() < TEACHER_FORCING
        target = to_ids(actions, ACTIONS)[0]
        outputs = self.combined(words, actions, forced)
        loss = torch.stack(
            [F.nll_loss(output, aim[None]) for output, aim in zip(outputs, target, strict=True)]
        ).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(self, words: list[str], actions: list[str]) -> bool:
        """Whether the decoded actions are all right."""
        decoded = []
        for output in self.combined(words, None, forced=False):
            token = int(output.argmax())
            decoded.append(token)
            if token == END:
                break
        return decoded == to_ids(actions, ACTIONS)[0].tolist()
