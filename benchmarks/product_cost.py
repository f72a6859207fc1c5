"""Ways to equivariance under a product of groups: all copies, a sum of averages, one copy.

Time, equivariance error and distance to the model side by side, for SCAN with two groups at once
and for a small GPT-2 of random weights with the pairs of an intersectional lexicon. The distance is
the root mean square of f(gx) - M(gx) over inputs and elements, of log-probabilities or logits. The
rule measure_product_cost runs this; `--help` tells how to run it by hand.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from measuring import Row, alternate, command_line, report, row
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.actions import Action, TokenPermutation
from equitune.additive import Additive
from equitune.canonical import Canonical
from equitune.equivariance import equivariance_error
from equitune.groups import ProductGroup
from equitune.language.models import EquiCausalLM
from equitune.scan.data import COMMANDS, load_dataset
from equitune.scan.models import load
from equitune.scan.words import word_group
from equitune.symmetrize import EquiTuned

from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip  equitune prepares its import

PLAIN, FULL, SUM, FRAME = "plain", "all copies", "additive", "frame"
SCAN_GROUPS: dict[str, list[dict[str, list[list[str]]]]] = {  # two groups at once
    "two pairs": [
        {"commands": [["jump", "run"]], "actions": [["I_JUMP", "I_RUN"]]},
        {"commands": [["right", "left"]], "actions": [["I_TURN_RIGHT", "I_TURN_LEFT"]]},
    ],
    "four verbs and a pair": [
        {
            "commands": [["jump", "run", "walk", "look"]],
            "actions": [["I_JUMP", "I_RUN", "I_WALK", "I_LOOK"]],
        },
        {"commands": [["right", "left"]], "actions": [["I_TURN_RIGHT", "I_TURN_LEFT"]]},
    ],
}
VOCABULARY, PROMPTS, LENGTH = 50, 32, 10
PAIRS = {"gender": (2, 3), "orientation": (4, 5), "race": (6, 7)}  # ids that change places
AXES = (("gender", "orientation"), ("gender", "orientation", "race"))
Forms = dict[str, nn.Module]


class Case(NamedTuple):
    """A model in its forms, how the product moves inputs and output, and what is run."""

    forms: Forms
    moves: Sequence[TokenPermutation]
    output: Action
    inputs: Sequence[Tensor]


def together(actions: Sequence[TokenPermutation]) -> TokenPermutation:
    """The action of the product of groups that move different ids."""
    first, *rest = actions
    for second in rest:
        rows = [b[a].tolist() for a in first.permutations for b in second.permutations]
        first = TokenPermutation(ProductGroup(first.group, second.group), rows)
    return first


def alphabetical(commands: Tensor, _: Tensor) -> Tensor:
    """The place of each command (batch, length) among all, as one number."""
    powers = len(COMMANDS) ** torch.arange(commands.shape[1] - 1, -1, -1.0, dtype=torch.float64)
    return (commands * powers).sum(1)


def scan_forms(module: nn.Module, specs: Sequence[dict[str, list[list[str]]]]) -> Forms:
    """A model of SCAN as it is, and in the three forms."""
    factors = [word_group(spec) for spec in specs]
    words, actions = (together(side) for side in zip(*factors, strict=True))
    build = partial(EquiTuned, module, (words, actions), actions.on_logits())
    return {
        PLAIN: module,
        FULL: build(dedupe=True),
        SUM: Additive(module, factors, [on.on_logits() for _, on in factors]),
        FRAME: build(Canonical(alphabetical)),
    }


class Logits(nn.Module):
    """A language model as a function of ids (batch, positions) to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids).logits
        return logits


def swaps(axes: Sequence[str]) -> list[TokenPermutation]:
    """For each axis the exchange of its two words."""
    pairs = [dict(zip(PAIRS[axis], reversed(PAIRS[axis]), strict=True)) for axis in axes]
    rows = [[pair.get(word, word) for word in range(VOCABULARY)] for pair in pairs]
    return [TokenPermutation.generated_by(row) for row in rows]


def language_forms(model: GPT2LMHeadModel, axes: Sequence[str]) -> Forms:
    """A language model as it is, and in the three forms."""
    plain, factors = Logits(model), swaps(axes)
    both = together(factors)
    return {
        PLAIN: plain,
        FULL: Logits(EquiCausalLM.wrap(model, both)),
        SUM: Additive(plain, [(each,) for each in factors], [f.on_logits() for f in factors]),
        FRAME: Logits(EquiCausalLM.wrap(model, both, combine="frame")),
    }


def compared(rounds: int, names: tuple[str, str, str], case: Case) -> Iterator[Row]:
    """Rows of time, error and distance of each form, over those of the plain model."""
    forms, on_inputs, output, inputs = case
    group, plain = output.group, forms[PLAIN]
    with torch.inference_mode():
        times = alternate([partial(each, *inputs) for each in forms.values()], rounds)
        moved = [[a(g, x) for a, x in zip(on_inputs, inputs, strict=True)] for g in group.elements]
        own = [plain(*each) for each in moved]
        length = math.sqrt(float(torch.stack([y.square().mean() for y in own]).mean()))
        errors, distances = {}, {}
        for name, form in forms.items():
            found = equivariance_error(form, tuple(on_inputs), output, *inputs)
            errors[name] = float(found.max())
            apart = [(form(*each) - y).square().mean() for each, y in zip(moved, own, strict=True)]
            distances[name] = math.sqrt(float(torch.stack(apart).mean()))
    where = (*names, group.order)
    for place, name in enumerate(forms):
        if name == PLAIN:
            continue
        sides = name, PLAIN
        seconds = [(each[place], each[0]) for each in times]
        yield row("product_time", *where, sides, seconds)
        error = [(errors[name], errors[PLAIN])]
        yield row("product_error", *where, sides, error, "relative error")
        unit = "root mean square"
        yield row("product_distance", *where, (name, "of M"), [(distances[name], length)], unit)


def scan_rows(rounds: int, model: Path, dataset: Path) -> Iterator[Row]:
    """SCAN's pretrained model under two groups at once."""
    seq2seq, run = load(model)
    module = seq2seq.module.double().eval()
    validation = load_dataset(dataset)[0]["validation"]
    part = validation[torch.arange(min(len(validation), 64))].trimmed()
    for setting, specs in SCAN_GROUPS.items():
        sides = zip(*(word_group(spec) for spec in specs), strict=True)
        words, actions = (together(side) for side in sides)
        names = "scan", run.architecture, f"{setting}, 64 commands"
        inputs = part.commands, part.prefixes()
        case = Case(scan_forms(module, specs), (words, actions), actions.on_logits(), inputs)
        yield from compared(rounds, names, case)


def language_rows(rounds: int) -> Iterator[Row]:
    """A small GPT-2 of random weights, large enough that copies differ."""
    torch.manual_seed(0)
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 64, "n_positions": 16}
    sizes |= {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(vocab_size=VOCABULARY, initializer_range=0.2, **sizes)
    model = GPT2LMHeadModel(config).double().eval()
    ids = torch.randint(2, VOCABULARY, (PROMPTS, LENGTH))
    for axes in AXES:
        for place, axis in enumerate(axes):  # a word of each axis in every prompt
            ids[:, 2 * place + 1] = torch.tensor(PAIRS[axis])[torch.arange(PROMPTS) % 2]
        both = together(swaps(axes))
        case = Case(language_forms(model, axes), (both,), both.on_logits(), (ids,))
        names = "language", "GPT-2 of 2 layers", " × ".join(axes)
        yield from compared(rounds, names, case)


class Repeat(nn.Module):
    """Gives the token that it reads the probability 1: equivariant under every permutation."""

    def forward(self, ids: Tensor) -> Tensor:
        return F.one_hot(ids, VOCABULARY).double()


def projection_rows() -> Iterator[Row]:
    """What becomes of a model that is equivariant already: the probability it gives the token."""
    first, second = swaps(AXES[0])
    both, ids = together([first, second]), torch.tensor([[PAIRS["gender"][0]]])
    forms = {
        FULL: EquiTuned(Repeat(), both, both.on_logits()),
        SUM: Additive(Repeat(), [(first,), (second,)], [first.on_logits(), second.on_logits()]),
    }
    for name, form in forms.items():
        p = float(form(ids)[0, 0, ids[0, 0]])
        names = "language", "repeats its token", "gender × orientation"
        yield row("product_fixed", *names, 4, (name, PLAIN), [(p, 1.0)], "probability")


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__)
    parser.add_argument("model", type=Path, help="model.safetensors of scan pretrain")
    parser.add_argument("--dataset", type=Path, required=True, help="its dataset")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    taken: list[Callable[[], Iterator[Row]]] = [
        partial(scan_rows, arguments.rounds, arguments.model, arguments.dataset),
        partial(language_rows, arguments.rounds),
        projection_rows,
    ]
    report(chain.from_iterable(each() for each in taken), arguments.output)


if __name__ == "__main__":
    main()
