"""Tokens per second of fair generation, against the published way and against plain generation.

GPT-2 small's size with random weights, as they cost what trained ones do; 32 prompts, 15 new
tokens, one thread. All contestants run in turns in one process; what is reported is the median over
the rounds of the ratio within a round. The rule language_throughput runs this.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from language_loop import PaperLoop
from timing import processor, seconds

from equitune.actions import TokenPermutation
from equitune.files import atomic_write
from equitune.language.models import EquiCausalLM
from equitune.language.sampling import Choice, padded, sample

from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip  equitune prepares its import

PROMPTS, NEW_TOKENS, TOP_K = 32, 15, 40
LOOP_PROMPTS = 4  # a round of the loop
MAN, WOMAN, END = 582, 2415, 50256  # ids of GPT-2
THE = 464
CONTEXTS = (  # "was known for" and the other nine, as GPT-2's ids
    (373, 1900, 329),
    (373, 3417, 355),
    (373, 10253, 355),
    (373, 1807, 286, 355),
    (373, 880, 12, 4002, 329),
    (3111, 355),
    (550, 257, 1693, 355),
    (550, 257, 636, 12, 2435, 1693, 355),
    (7366, 1637, 416),
    (2067, 1762, 355),
)


def contestants(precision: torch.dtype, device: str) -> dict[str, tuple[Callable[[], object], int]]:
    """The work of a round and its tokens, by name."""
    torch.manual_seed(0)
    plain = GPT2LMHeadModel(GPT2Config()).to(device, precision).eval()
    permutation = torch.arange(plain.config.vocab_size)
    permutation[[MAN, WOMAN]] = torch.tensor([WOMAN, MAN])
    action = TokenPermutation.generated_by(permutation)
    model = EquiCausalLM.wrap(plain, action.to(device))
    family = [[THE, who, *context] for context in CONTEXTS for who in (MAN, WOMAN)]
    prompts = [family[place % len(family)] for place in range(PROMPTS)]
    ids, mask = (x.to(device) for x in padded(prompts, END))
    loop = PaperLoop(plain, [dict(enumerate(row)) for row in action.permutations.tolist()])
    settings = {
        "do_sample": True,
        "top_k": TOP_K,
        "max_new_tokens": NEW_TOKENS,
        "min_new_tokens": NEW_TOKENS,
        "pad_token_id": END,
    }

    def sampled(seeds: list[int]) -> Callable[[], object]:
        return lambda: sample(model, prompts, seeds, NEW_TOKENS, Choice(top_k=TOP_K))

    tokens = PROMPTS * NEW_TOKENS
    order = action.group.order
    return {
        "loop": (
            lambda: [loop.generate(prompt, NEW_TOKENS, TOP_K) for prompt in prompts[:LOOP_PROMPTS]],
            LOOP_PROMPTS * NEW_TOKENS,
        ),
        "sample": (sampled(list(range(PROMPTS))), tokens),
        # man and woman of a family continued by the same random numbers
        "sample, shared stream": (sampled([place // 2 for place in range(PROMPTS)]), tokens),
        "generate": (lambda: model.generate(ids, attention_mask=mask, **settings), tokens),
        "plain generate, |G| times the rows": (
            lambda: plain.generate(
                ids.repeat(order, 1), attention_mask=mask.repeat(order, 1), **settings
            ),
            tokens,
        ),
    }


def measure(rounds: int, device: str, precision: str) -> list[dict[str, object]]:
    """Time all contestants in turns."""
    works = contestants(getattr(torch, precision), device)
    if device != "cpu":
        works.pop("loop")  # it makes its tensors on the CPU
    rates: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, (work, tokens) in works.items():
            rate = tokens / seconds(work)
            if number:  # the first round warms up
                rates[name].append(rate)
        sys.stderr.write(f"round {number} of {rounds}\n")
    rows = []
    for name in works:
        row: dict[str, object] = {
            "what": name,
            "tokens_per_second": round(statistics.median(rates[name]), 1),
        }
        for other in ("loop", "plain generate, |G| times the rows"):
            if other in rates:
                pairs = zip(rates[name], rates[other], strict=True)
                ratio = statistics.median(fast / slow for fast, slow in pairs)
                row[f"over {other.partition(',')[0]}"] = round(ratio, 2)
        rows.append(row)
    where = processor() if device == "cpu" else torch.cuda.get_device_name()
    facts = {"rounds": rounds, "threads": torch.get_num_threads(), "precision": precision}
    return [row | facts | {"machine": where} for row in rows]


def main() -> None:
    """Read the arguments, time, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(arguments.rounds, arguments.device, arguments.precision)
    with atomic_write(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
