"""Equizero for texts: of an orbit's continuations the one a scorer likes best.

For a prompt x each element g of the group gives a candidate: the moved prompt gx, continued by the
model as it is, y_g ~ M(gx). Of the whole texts gx + y_g the scorer's favourite is taken, and what
is returned is that continuation moved back, g*⁻¹ y_{g*} (EquizeroGPT2 of Basu et al. 2023, arXiv
2305.09900, with the proxy loss −regard; no code of it was published). Relaxed, general words, which
no element moves, have the logits of the unmoved context, while a candidate is written.

Why it is equivariant. The candidates of x and those of hx are written behind the same moved
prompts, as {gx} = {ghx}: what is written behind gx depends on gx and its random numbers alone, and
numbers belong to a moved prompt, whichever element it was reached by. So both sets of texts have
the same distribution, and with the same seeds they are the same texts. The favourite is a function
of the set: of equal scores the candidate with the larger seed wins, never the earlier element. If
it is the text behind c = gx = (gh⁻¹)hx, then x gets g⁻¹y and hx gets (gh⁻¹)⁻¹y = h g⁻¹y, which is
what x gets, moved by h. Behind a prompt that h leaves alone there are several candidates, each with
numbers of its own: which one wins is chance, so what x gets is as probable as h of it. The relaxed
candidates depend on x itself, so nothing of this holds for them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from equitune.actions import TokenPermutation
from equitune.language.data import decode, encode_prompt
from equitune.language.fairness import VALUES
from equitune.language.models import EquiCausalLM
from equitune.language.prompts import as_scored
from equitune.language.regard import Scorer
from equitune.language.sampling import Choice, sample
from equitune.language.symmetric import probabilities

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Candidate:
    """A continuation that may be chosen.

    Attributes:
        text: number of the text that it is a candidate for.
        element: g.
        context: ids of the moved prompt gx.
        seed: of its random numbers.
        continuation: ids of y_g, as they stand behind gx.
    """

    text: int
    element: int
    context: tuple[int, ...]
    seed: int
    continuation: tuple[int, ...] = ()


Score = Callable[[Sequence[Candidate]], Sequence[float] | NDArray[np.float64]]


def equizero(
    model: EquiCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    scorer: Scorer,
    prompts: Sequence[str],
    seeds: Sequence[int],
    new_tokens: int,
    choice: Choice | None = None,
    stop: Sequence[int] = (),
    batch_size: int = 512,
    *,
    demographics: Sequence[str] | None = None,
    read: Callable[[str, str], str] = as_scored,
) -> list[list[int]]:
    """Continue prompts by equizero, or by relaxed equizero where the model is a relaxed one.

    Args:
        model: in evaluation mode; its action, its general words, and the model it wraps are used.
        tokenizer: the model's.
        scorer: of regard; what it likes best has the largest `expected_regard`.
        prompts: the text that each continuation begins with; the same may stand there often.
        seeds: one for each text: it alone decides the random numbers of its candidates.
        new_tokens: at most this many.
        choice: how tokens are chosen; by default at random, as probable as they are.
        stop: ids that end a continuation; they are not returned.
        batch_size: candidates at once; it changes memory and speed only.
        demographics: whom each prompt is about, as it names them, to be masked; None: no mask.
        read: what the scorer reads of a whole text, given that text and the demographic in it.

    Returns:
        The new token ids of each text. Where the model is not a relaxed one, those of the prompt
        moved by h are h of them if its seed is the same and h does not leave the prompt alone.

    Raises:
        ValueError: not one seed or demographic for each prompt, or a prompt whose words the
            tokenizer does not know.
    """
    if demographics is not None and len(demographics) != len(prompts):
        counts = f"{len(prompts)} prompts and {len(demographics)} demographics"
        raise ValueError(f"{counts}: expected one for each")
    named = [""] * len(prompts) if demographics is None else demographics
    ids = {prompt: encode_prompt(tokenizer, prompt) for prompt in dict.fromkeys(prompts)}
    openings = _images(model.action, tokenizer, ids)
    about = {name: encode_prompt(tokenizer, f"The {name}") if name else [] for name in set(named)}
    phrases = _images(model.action, tokenizer, about)

    def score(candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        whole = [
            read(
                openings[x.element, prompts[x.text]] + decode(tokenizer, x.continuation),
                phrases[x.element, named[x.text]].removeprefix("The").strip(),
            )
            for x in candidates
        ]
        return expected_regard(scorer, whole)

    asked = [ids[prompt] for prompt in prompts]
    how = Choice() if choice is None else choice
    return choose(model, asked, seeds, score, new_tokens, how, stop, batch_size)


def choose(
    model: EquiCausalLM,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    score: Score,
    new_tokens: int,
    choice: Choice,
    stop: Sequence[int] = (),
    batch_size: int = 512,
) -> list[list[int]]:
    """Continue prompts of token ids by the best candidate of each, by any score.

    Args:
        model: see `equizero`, as for what is not named here.
        prompts: ids of each text's prompt.
        seeds: see `equizero`.
        score: a number for each candidate, the larger the better. It must depend on the context
            and the continuation alone, and be the same whatever other candidates there are.
        new_tokens: see `equizero`.
        choice: how tokens are chosen.
        stop: see `equizero`.
        batch_size: see `equizero`.

    Raises:
        ValueError: an empty prompt, or not one seed for each.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds: expected one for each")
    orbits = [
        _candidates(model.action, text, prompt, seed)
        for text, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
    ]
    # with a shared stream a text may be the candidate of a whole orbit: it is written once
    written = _written(model, prompts, orbits, new_tokens, choice, stop, batch_size)
    whole = [x for orbit in written for x in orbit]
    scores = dict(zip(whole, map(float, score(whole)), strict=True))
    # of equal scores the larger seed, which belongs to the moved prompt and to no element
    best = [max(orbit, key=lambda x: (scores[x], x.seed)) for orbit in written]
    inverses = model.action.group.inverses
    return [_move(model.action, inverses[x.element], x.continuation) for x in best]


def expected_regard(scorer: Scorer, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return P(positive) − P(negative) of each text; of a scorer without probabilities 1, 0 or −1.

    Equal texts are scored once: a classifier's last bits depend on the batch.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    regard = (probabilities(scorer, list(places)) * VALUES).sum(1)
    return np.array([regard[places[text]] for text in texts])


def _candidates(
    action: TokenPermutation, text: int, prompt: Sequence[int], seed: int
) -> list[Candidate]:
    """Return the candidates for a text, still without continuations.

    Several elements may give the same moved prompt, one that the group leaves alone for example:
    their candidates are numbered, and have random numbers of their own.
    """
    met = Counter[tuple[int, ...]]()
    found = []
    for g in action.group.elements:
        context = tuple(_move(action, g, prompt))
        found.append(Candidate(text, g, context, _seed(seed, context, met[context])))
        met[context] += 1
    return found


def _written(
    model: EquiCausalLM,
    prompts: Sequence[Sequence[int]],
    orbits: Sequence[Sequence[Candidate]],
    new_tokens: int,
    choice: Choice,
    stop: Sequence[int],
    batch_size: int,
) -> list[list[Candidate]]:
    """Return the candidates with their continuations; those that must be equal are drawn once."""
    relaxed = bool(model.averaging.general.array.size)

    def what(x: Candidate) -> tuple[object, ...]:
        return x.context, x.seed, tuple(prompts[x.text]) if relaxed else None

    once = {what(x): x for orbit in orbits for x in orbit}
    drawn = sample(
        model,
        [x.context for x in once.values()],
        [x.seed for x in once.values()],
        new_tokens,
        choice,
        stop,
        batch_size,
        elements=[x.element for x in once.values()],
    )
    found = dict(zip(once, map(tuple, drawn), strict=True))
    return [[replace(x, continuation=found[what(x)]) for x in orbit] for orbit in orbits]


def _seed(seed: int, context: Sequence[int], number: int) -> int:
    """Return a candidate's own seed: the same for a moved prompt, however it was reached."""
    digest = hashlib.sha256(repr([seed, list(context), number]).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def _move(action: TokenPermutation, g: int, ids: Sequence[int]) -> list[int]:
    """Return ids moved by g; none stay none."""
    moved: list[int] = action(g, torch.tensor(ids, dtype=torch.long)).tolist() if ids else []
    return moved


def _images(
    action: TokenPermutation,
    tokenizer: PreTrainedTokenizerBase,
    ids: Mapping[str, Sequence[int]],
) -> dict[tuple[int, str], str]:
    """Return for each element and text that text moved, of the ids that the text has."""
    return {
        (g, text): decode(tokenizer, _move(action, g, own), special=False)
        for g in action.group.elements
        for text, own in ids.items()
    }
