"""Greedy decoding of an equi-tuned sequence model, all branches in step.

Branch g reads the command g x. At each position the branches' log-probabilities are moved back and
combined, one action a is chosen, and branch g is fed its own image g a: so every branch stays the
image of every other, and the decoded sequence of g x is g applied to that of x.
"""

from typing import cast

import torch
from torch import Tensor

from equitune.actions import TokenPermutation
from equitune.copies import unique_rows
from equitune.scan.data import END, START
from equitune.scan.models import Seq2Seq
from equitune.symmetrize import EquiTuned

MAX_STEPS = 50  # the longest sequence of SCAN has 48 actions, and its end


@torch.inference_mode()
def greedy(model: EquiTuned, commands: Tensor, steps: int = MAX_STEPS) -> Tensor:
    """Decode the most probable action at each position until the end token.

    Rows that share command and past are computed once.

    Args:
        model: a `Seq2Seq` made equivariant by actions on command ids and on action ids.
        commands: (batch, length) ids of any type of integers, padded at the end.
        steps: the largest number of positions.

    Returns:
        (batch, steps) action ids of int64, the end token included, padded after it.
    """
    seq2seq, commands = cast(Seq2Seq, model.module), commands.long()
    words, actions = cast(tuple[TokenPermutation, ...], tuple(model.input_actions))
    size = seq2seq.output.out_features
    images = _images(actions, size, commands.device)
    copies = words.orbit(commands)  # (|G|, batch, length)
    first, row = unique_rows([copies.flatten(0, 1)])  # equal copies are computed once
    row = row.view(copies.shape[:2])  # which computed row each copy is
    memory = seq2seq.encode(copies.flatten(0, 1)[first])
    fed = torch.full_like(first, START)
    decoded = commands.new_full((len(commands), steps), START)
    going = torch.arange(len(commands), device=commands.device)
    for position in range(steps):
        log_probabilities, memory = seq2seq.decode(fed[:, None], memory)
        combined = model.combine(log_probabilities[row], model.output_action)[:, 0]
        choice = _choose(combined, row == row[model.group.identity], images)  # (batch,)
        decoded[going, position] = choice
        keep = choice != END
        going, row, choice = going[keep], row[:, keep], choice[keep]
        if not len(going):
            break
        # rows that share their past and their next token go on as one
        pairs, row = torch.unique(row * size + images[:, choice], return_inverse=True)
        source, fed = pairs // size, pairs % size
        if not torch.equal(source, torch.arange(len(memory.mask), device=source.device)):
            memory = memory.select(source)
    return decoded


def next_actions(model: EquiTuned, commands: Tensor, prefixes: Tensor) -> Tensor:
    """Return what `greedy` would choose after each prefix, all positions at once.

    Args:
        model: as for `greedy`.
        commands: (batch, length) ids, padded at the end.
        prefixes: (batch, positions) action ids, the start token in front.

    Returns:
        (batch, positions) action ids.
    """
    words, actions = cast(tuple[TokenPermutation, ...], tuple(model.input_actions))
    same_command = (words.orbit(commands) == commands).all(-1)  # (|G|, batch)
    same_past = (actions.orbit(prefixes) == prefixes).long().cummin(-1).values.bool()
    agree = same_command[:, :, None] & same_past  # (|G|, batch, positions)
    log_probabilities = model(commands, prefixes)
    images = _images(actions, log_probabilities.shape[-1], commands.device)
    return _choose(log_probabilities, agree, images)


def _images(actions: TokenPermutation, size: int, device: torch.device) -> Tensor:
    """images[g, a] = g a for all actions: (|G|, vocabulary)."""
    return actions.orbit(torch.arange(size, device=device))


def _choose(log_probabilities: Tensor, agree: Tensor, images: Tensor) -> Tensor:
    """Choose the most probable action among those that do not break a symmetry of the row.

    A command that elements of the group leave unchanged has an output that they leave unchanged:
    an action and its image have the same probability there, and choosing either would break the
    symmetry. Only actions that those elements fix are eligible, and never the start token.

    Args:
        log_probabilities: (…, vocabulary).
        agree: (|G|, …) whether g leaves command and past unchanged.
        images: (|G|, vocabulary).

    Returns:
        (…) action ids.
    """
    moved = images != torch.arange(images.shape[1], device=images.device)
    moved = moved.view(len(images), *[1] * (log_probabilities.ndim - 1), -1)
    broken = (agree[..., None] & moved).any(0)
    broken[..., START] = True  # it opens a sequence and never stands inside
    return log_probabilities.masked_fill(broken, -torch.inf).argmax(-1)
