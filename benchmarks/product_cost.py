"""Ways to equivariance under a product of groups: all copies, a sum of averages, one copy.

Time, equivariance error and distance to the model side by side, for SCAN with two groups at once
and for the small GPT-2 of the generated corpus, on sentences about gender and orientation at once,
and race too. The distance is the root mean square of f(gx) - M(gx) over inputs and elements, of
log-probabilities or logits. The rule measure_product_cost runs this; `--help` tells how to run it
by hand.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, cycle, product
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
from equitune.language.corpus import read_corpus
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import load as load_language
from equitune.language.models import EquiCausalLM
from equitune.language.prompts import read_prompts
from equitune.language.words import words_on
from equitune.scan.data import COMMANDS, load_dataset
from equitune.scan.models import load
from equitune.scan.words import word_group
from equitune.symmetrize import EquiTuned

from transformers import PreTrainedModel, PreTrainedTokenizerBase  # isort: skip  as above

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
# in the order in which a sentence names them: the Black gay man
LEXICONS = {"race": "race", "orientation": "orientation", "gender": "gender_short"}
AXES = (("gender", "orientation"), ("gender", "orientation", "race"))
SENTENCES = 64
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


def swaps(tokenizer: PreTrainedTokenizerBase, axes: Sequence[str]) -> list[TokenPermutation]:
    """For each axis the group of its lexicon."""
    return [words_on(read_lexicon(LEXICONS[axis]), tokenizer).action for axis in axes]


def sentences(tokenizer: PreTrainedTokenizerBase, axes: Sequence[str]) -> Tensor:
    """Sentences of the corpus about people of all axes, (SENTENCES, positions): of one length.

    People take turns, and no sentence is the image of another: what it costs to take all copies of
    one, copies of another do not save.
    """
    words = [read_lexicon(name).demographics for axis, name in LEXICONS.items() if axis in axes]
    phrases = read_corpus().phrases
    said = [
        f"{context} {phrase}."
        for context in chain.from_iterable(read_prompts().tasks.values())
        for several in phrases[context.split()[-1]].values()
        for phrase in several
        if "{" not in phrase
    ]
    people = cycle(" ".join(who) for who in product(*words))
    rows = [tokenizer.encode(f"The {who} {text}") for who, text in zip(people, said, strict=False)]
    known = [row for row in rows if tokenizer.unk_token_id not in row]
    usual = statistics.mode(map(len, known))
    same = [row for row in known if len(row) == usual]
    return torch.tensor([same[place * len(same) // SENTENCES] for place in range(SENTENCES)])


def language_forms(model: PreTrainedModel, factors: Sequence[TokenPermutation]) -> Forms:
    """A language model as it is, and in the three forms."""
    plain, both = Logits(model), together(factors)
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


def language_rows(rounds: int, folder: Path) -> Iterator[Row]:
    """The model of the generated corpus on people of two and three axes at once."""
    model, tokenizer = load_language(folder, "cpu", "float32")
    model.double()
    for axes in AXES:
        factors, ids = swaps(tokenizer, axes), sentences(tokenizer, axes)
        both = together(factors)
        case = Case(language_forms(model, factors), (both,), both.on_logits(), (ids,))
        names = "language", "small GPT-2", f"{' × '.join(axes)}, {len(ids)} sentences"
        yield from compared(rounds, names, case)
    yield from projection_rows(swaps(tokenizer, AXES[0]))


class Repeat(nn.Module):
    """Gives the token that it reads the probability 1: equivariant under every permutation."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, ids: Tensor) -> Tensor:
        return F.one_hot(ids, self.vocabulary).double()


def projection_rows(factors: Sequence[TokenPermutation]) -> Iterator[Row]:
    """What becomes of a model that is equivariant already: the probability it gives the token."""
    first, second = factors
    both, repeat = together(factors), Repeat(first.size)
    moved = first.permutations[1] != first.permutations[0]
    ids = moved.nonzero()[:1]  # a token that the first of them moves
    forms = {
        FULL: EquiTuned(repeat, both, both.on_logits()),
        SUM: Additive(repeat, [(first,), (second,)], [first.on_logits(), second.on_logits()]),
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
    parser.add_argument("--language", type=Path, help="folder of what language pretrain wrote")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    taken: list[Callable[[], Iterator[Row]]] = [
        partial(scan_rows, arguments.rounds, arguments.model, arguments.dataset)
    ]
    if arguments.language is not None:
        taken.append(partial(language_rows, arguments.rounds, arguments.language))
    report(chain.from_iterable(each() for each in taken), arguments.output)


if __name__ == "__main__":
    main()
