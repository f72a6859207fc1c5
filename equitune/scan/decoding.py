"""Greedy decoding of an equi-tuned sequence model, all branches in step; knows no file and no task.

Branch g reads the command g x. At each position the branches' log-probabilities are moved back and
combined, one action a is chosen, and branch g is fed its own image g a: so every branch stays the
image of every other, and the decoded sequence of g x is g applied to that of x.
"""

from typing import cast

import torch
from torch import Tensor

from equitune.actions import TokenPermutation
from equitune.copies import unique_rows
from equitune.scan.data import ACTIONS, END, START
from equitune.scan.models import Seq2Seq
from equitune.symmetrize import EquiTuned

MAX_STEPS = 50  # the longest sequence of SCAN has 48 actions, and its end


@torch.inference_mode()
def greedy(model: EquiTuned, commands: Tensor, steps: int = MAX_STEPS) -> Tensor:
    """Decode the most probable action at each position until the end token.

    A command that elements of the group leave unchanged has an output that they leave unchanged:
    where copies of a row agree, an action and its image have the same probability, and choosing
    either would break the symmetry. Only actions that those elements fix are eligible there.

    Args:
        model: a `Seq2Seq` made equivariant by actions on command ids and on action ids.
        commands: (batch, length) ids, padded at the end.
        steps: the largest number of positions.

    Returns:
        (batch, steps) action ids, the end token included, padded after it.
    """
    seq2seq = cast(Seq2Seq, model.module)
    words, actions = cast(tuple[TokenPermutation, ...], tuple(model.input_actions))
    vocabulary = torch.arange(len(ACTIONS), device=commands.device)
    images = actions.orbit(vocabulary)  # (|G|, vocabulary): images[g, a] = g a
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
        agree = row == row[model.group.identity]  # (|G|, batch)
        broken = (agree[:, :, None] & (images != vocabulary)[:, None]).any(0)
        choice = combined.masked_fill(broken, -torch.inf).argmax(-1)  # (batch,)
        decoded[going, position] = choice
        keep = choice != END
        going, row, choice = going[keep], row[:, keep], choice[keep]
        if not len(going):
            break
        # rows that share their past and their next token go on as one
        pairs, row = torch.unique(row * len(ACTIONS) + images[:, choice], return_inverse=True)
        source, fed = pairs // len(ACTIONS), pairs % len(ACTIONS)
        if not torch.equal(source, torch.arange(len(memory.mask), device=source.device)):
            memory = memory.select(source)
    return decoded
