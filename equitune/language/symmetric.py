"""A scorer made symmetric in the words of a lexicon, by the operator that models are made fair by.

A scorer S is an instrument of its own: it may think worse of "a gay friend" than of "a straight
friend". So S_G(x) = 1/|G| Σ_g S(gx), the Reynolds operator of `EquiTuned` on S's label
probabilities (Basu et al. 2023), where the group exchanges the lexicon's words wherever they stand
in the text. S_G gives all images of a text the same label, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from equitune.actions import TokenPermutation, Trivial
from equitune.io.names import show
from equitune.language.labels import Shares, most_probable, one_hot
from equitune.language.lexicon import Lexicon
from equitune.language.moves import Pieces, WordMoves
from equitune.language.regard import Scorer
from equitune.symmetrize import EquiTuned

GRAIN = 2.0**32  # probabilities are rounded to its inverse: sums are exact in any order


class SymmetricScorer:
    """A scorer averaged over the group of a lexicon; one of regard like any other.

    Args:
        scorer: what is averaged: its probabilities, or where it gives only labels, 1 for the label.
        lexicon: whose equality words the group exchanges.
        forms: capitalised words, and words without a blank before them, move too.
    """

    def __init__(self, scorer: Scorer, lexicon: Lexicon, forms: bool = False) -> None:
        """Find where its words stand."""
        self.scorer, self.lexicon = scorer, lexicon
        self.moves = WordMoves(lexicon, forms)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text, the same for all images of it."""
        return most_probable(self.probabilities([self.cut(text) for text in texts]))

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether the scorer recognises anything in an image of it."""
        if not len(texts):
            return []
        shares = self._average(
            [self.cut(text) for text in texts],
            lambda read: np.array(self.scorer.recognises(read), dtype=float)[:, None],
        )
        return [bool(share) for share in shares[:, 0] > 0]

    def cut(self, text: str) -> Pieces:
        """Cut a text at the lexicon's words, whole ones."""
        return self.moves.cut(text)

    def probabilities(
        self,
        texts: Sequence[Pieces | str],
        prepare: Callable[[str], str] = lambda text: text,
    ) -> Shares:
        """Return the labels' probabilities, (texts, 4), averaged over the group.

        Args:
            texts: whole, or cut where words move, as `cut` does.
            prepare: what is done to each image before it is scored.

        Raises:
            ValueError: a piece that is to move is not a word of the lexicon, or a label is unknown.
        """
        rows = [self.cut(text) if isinstance(text, str) else text for text in texts]
        if not rows:
            return one_hot([])
        return self._average(rows, lambda read: probabilities(self.scorer, read), prepare)

    def _average(
        self,
        rows: Sequence[Pieces],
        score: Callable[[Sequence[str]], Shares],
        prepare: Callable[[str], str] = lambda text: text,
    ) -> Shares:
        """Return what a function gives for texts in pieces, averaged over the group."""
        pieces, action = self._vocabulary(rows)
        numbers = {piece: number for number, piece in enumerate(pieces)}
        ids = [torch.tensor([numbers[x, k % 2] for k, x in enumerate(row)]) for row in rows]
        reader = _Reader([text for text, _ in pieces], score, prepare)
        model = EquiTuned(reader, action, Trivial(action.group))
        # piece 0 is empty, and fills the shorter rows
        averaged: Tensor = model(pad_sequence(ids, batch_first=True, padding_value=0))
        return averaged.numpy()

    def _vocabulary(self, rows: Iterable[Pieces]) -> tuple[list[tuple[str, int]], TokenPermutation]:
        """Return all pieces, with 1 for those that move, and how the group moves their numbers."""
        found = dict.fromkeys([("", 0), *((x, k % 2) for row in rows for k, x in enumerate(row))])
        if foreign := [word for word, moves in found if moves and word not in self.moves.becomes]:
            raise ValueError(
                f"{show(foreign[0])} moves in a text but not by the lexicon {self.lexicon.name}: "
                "pass the lexicon and forms that the text was generated with"
            )
        pieces = list(dict.fromkeys([*found, *((word, 1) for word in self.moves.becomes)]))
        numbers = {piece: number for number, piece in enumerate(pieces)}
        image = [numbers[self.moves.becomes[x] if moves else x, moves] for x, moves in pieces]
        return pieces, TokenPermutation.generated_by(image, self.lexicon.order)


class _Reader(nn.Module):
    """A scorer as a module: pieces' numbers, (texts, longest), to numbers for each, float64."""

    def __init__(
        self,
        pieces: Sequence[str],
        score: Callable[[Sequence[str]], Shares],
        prepare: Callable[[str], str],
    ) -> None:
        super().__init__()
        self.pieces, self.score, self.prepare = pieces, score, prepare

    def forward(self, ids: Tensor) -> Tensor:
        """Read each text once: a classifier's last bits depend on the batch."""
        texts = [
            self.prepare("".join(self.pieces[number] for number in row)) for row in ids.tolist()
        ]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        shares = np.round(self.score(list(places)) * GRAIN) / GRAIN
        return torch.from_numpy(shares[[places[text] for text in texts]])


def probabilities(scorer: Scorer, texts: Sequence[str]) -> Shares:
    """Return the labels' probabilities by any scorer, (texts, 4); 1 for the label of one without.

    Raises:
        ValueError: a label is not one of `REGARD_LABELS`.
    """
    if hasattr(scorer, "probabilities"):
        return np.asarray(scorer.probabilities(texts), dtype=np.float64)
    return one_hot(scorer(texts))
