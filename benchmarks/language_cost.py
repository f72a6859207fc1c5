"""What fair generation costs: against the published way, against plain generation, by its kinds.

GPT-2 small's size with random weights, as they cost what trained ones do; 32 prompts, 15 new
tokens. The rule measure_language_cost runs this; `--help` tells how to run it by hand.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from language_loop import PaperLoop
from measuring import Clock, Row, alternate, command_line, report, row

from equitune.actions import TokenPermutation
from equitune.language.models import EquiCausalLM
from equitune.language.sampling import Choice, padded, sample

from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip  equitune prepares its import

PROMPTS, NEW_TOKENS, TOP_K = 32, 15, 40
LOOP_PROMPTS = 4  # a round of the loop
LOOP, PLAIN = "generate, loop", "generate, plain, |G| times the rows"
# the mean of all copies, and one copy of each context, each by the function of the plain model
FAIR = {
    f"{function}{kind}": f"{function}, plain"
    for function in ("generate", "sample")
    for kind in ("", ", frame")
}
ORDER = 2  # of the group
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
    model = EquiCausalLM.wrap(plain, action)
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
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

    def sampled(model: EquiCausalLM, seeds: Sequence[int]) -> Callable[[], object]:
        return lambda: sample(model, prompts, [*seeds], NEW_TOKENS, Choice(top_k=TOP_K))

    tokens = PROMPTS * NEW_TOKENS
    return {
        LOOP: (
            lambda: [loop.generate(prompt, NEW_TOKENS, TOP_K) for prompt in prompts[:LOOP_PROMPTS]],
            LOOP_PROMPTS * NEW_TOKENS,
        ),
        "sample": (sampled(model, range(PROMPTS)), tokens),
        # man and woman of a family continued by the same random numbers
        "sample, shared stream": (sampled(model, [i // 2 for i in range(PROMPTS)]), tokens),
        "sample, frame": (sampled(framed, range(PROMPTS)), tokens),
        "sample, plain": (sampled(EquiCausalLM.wrap(plain), range(PROMPTS)), tokens),
        "generate": (lambda: model.generate(ids, attention_mask=mask, **settings), tokens),
        "generate, frame": (lambda: framed.generate(ids, attention_mask=mask, **settings), tokens),
        "generate, plain": (lambda: plain.generate(ids, attention_mask=mask, **settings), tokens),
        PLAIN: (
            lambda: plain.generate(
                ids.repeat(ORDER, 1), attention_mask=mask.repeat(ORDER, 1), **settings
            ),
            tokens,
        ),
    }


def measure(rounds: int, device: str, precision: str) -> Iterator[Row]:
    """Time all contestants in turns: tokens per second over the loop's, and seconds over plain."""
    works = contestants(getattr(torch, precision), device)
    clock: Clock = time.process_time
    where = {}
    if device != "cpu":
        works.pop(LOOP)  # it makes its tensors on the CPU
        clock, where = time.perf_counter, {"machine": torch.cuda.get_device_name(device)}
    times = [
        dict(zip(works, each, strict=True))
        for each in alternate([work for work, _ in works.values()], rounds, clock)
    ]
    named = "language", "GPT-2 small", f"{PROMPTS} prompts, {precision}", ORDER
    for name in (name for name in works if name not in (LOOP, PLAIN, *FAIR.values())):
        if LOOP in works:
            rates = [tuple(works[side][1] / each[side] for side in (name, LOOP)) for each in times]
            yield row("loop", *named, (name, LOOP), rates, "tokens/second", at_least=60, **where)
        # as many tokens on both sides
        samples = [(each[name], each[PLAIN]) for each in times]
        yield row("floor", *named, (name, PLAIN), samples, at_most=1, **where)
    for name, once in FAIR.items():
        if name in works:
            rates = [tuple(works[side][1] / each[side] for side in (name, once)) for each in times]
            aim = {"at_least": 1} if name.endswith("frame") else {}
            yield row("fair", *named, (name, once), rates, "tokens/second", **aim, **where)


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__, rounds=3)  # of half a minute each
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report(measure(arguments.rounds, arguments.device, arguments.precision), arguments.output)


if __name__ == "__main__":
    main()
