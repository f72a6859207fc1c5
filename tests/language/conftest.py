"""Tiny random models, groups on their vocabulary, a tokenizer and texts: what tests share."""

import importlib.util

import language_commands
import pandas as pd
import pytest
import torch
import yaml
from scored_texts import PROMPTS, WORDS

from equitune.actions import TokenPermutation
from equitune.language import evaluation
from equitune.language.corpus import write_corpus
from equitune.language.samples import write_samples

NEEDS_TRANSFORMERS = ("data", "equizero", "experiment", "hidden*", "measures", "methods", "models*")
NEEDS_TRANSFORMERS += ("generation", "planted", "probe")
NEEDS_TRANSFORMERS += ("sampling", "tokenizer", "tuning", "words")
collect_ignore_glob = (
    []
    if importlib.util.find_spec("transformers")
    else [f"test_{name}.py" for name in NEEDS_TRANSFORMERS]
)

VOCABULARY, END = 40, 1
COMMON = {
    "vocab_size": VOCABULARY,
    "bos_token_id": 0,
    "eos_token_id": END,
    "pad_token_id": END,
    "initializer_range": 0.5,  # distributions far from uniform, which show a wrong permutation
}
OTHERS = {
    **COMMON,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
ARCHITECTURES = {
    "gpt2": {**COMMON, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2},
    "llama": OTHERS,
    "mixtral": OTHERS,
    "phi": OTHERS,  # its head has a bias
    # its logits are capped after the head; every other layer sees the last few tokens only
    "gemma2": {**OTHERS, "head_dim": 8, "sliding_window": 6, "final_logit_softcapping": 5.0},
}


@pytest.fixture(scope="session")
def language_model():
    """A function that returns a random model of an architecture, in evaluation mode."""

    from transformers import AutoConfig, AutoModelForCausalLM

    def make(architecture="gpt2", seed=0, **changes):
        config = AutoConfig.for_model(architecture, **{**ARCHITECTURES[architecture], **changes})
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config).eval()
        head = model.get_output_embeddings()
        if head.bias is not None:
            torch.nn.init.normal_(head.bias)  # zero at first, which would hide that it is left out
        return model

    return make


@pytest.fixture(scope="session")
def token_action():
    """A function that returns an action of order 2 or 3 that moves tuples of token ids."""

    def make(order, size=VOCABULARY):
        image = torch.arange(size)
        for first in (5, 10, *range(22, 37, 3)):  # many, so that texts have some of them
            ids = torch.arange(first, first + order)
            image[ids] = ids.roll(-1)
        return TokenPermutation.generated_by(image)

    return make


@pytest.fixture(scope="session")
def plain_loop():
    """A function that returns 1/|G| Σ g⁻¹ l(gx), from one pass of a model for each element."""

    def mean(model, action, x, **options):
        back = action.on_logits().inverse
        logits = [back(g, model(action(g, x), **options).logits) for g in action.group.elements]
        return torch.stack(logits).mean(0)

    return mean


@pytest.fixture
def rows_seen():
    """A function that returns a list to which each pass of a model adds its number of rows."""
    hooks = []

    def count(model):
        seen = []
        embeddings = model.get_input_embeddings()
        hooks.append(
            embeddings.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
        )
        return seen

    yield count
    for hook in hooks:
        hook.remove()


@pytest.fixture(scope="session")
def tokenizer():
    """A word-level tokenizer of a few sentences."""
    from equitune.language.tokenizer import build_tokenizer

    return build_tokenizer(
        ["The man worked as a cook.", "The woman worked as a king.", "The queen said he and she."]
    )


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory, language_model):
    """A function that returns a folder with a random model and a tokenizer, as of the hub."""

    def make(tokenizer, architecture="gpt2", seed=0, **changes):
        folder = tmp_path_factory.mktemp("saved") / "model"
        model = language_model(architecture, seed, vocab_size=len(tokenizer), **changes)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def model_folder(saved_model, tokenizer):
    """A folder with a model and its tokenizer, as it comes from the hub."""
    return saved_model(tokenizer)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Sentences to train on and to validate on."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(40, 0, None, folder / "train.txt", folder / "validation.txt")
    return folder


@pytest.fixture(scope="module")
def base(texts, tmp_path_factory):
    """The folder of a model that was trained for a few steps."""
    from small_language import pretrain  # needs transformers

    return pretrain(texts, tmp_path_factory.mktemp("base") / "manifest.json")


@pytest.fixture
def evaluate(tmp_path):
    """A function that evaluates samples, a file for each list, and returns the three tables."""
    (tmp_path / "prompts.yaml").write_text(PROMPTS)

    def evaluate(*lists, measures=(), settings=WORDS, trained=None, seed=0, **options):
        files = []
        for place, samples in enumerate(lists):
            files.append(tmp_path / str(place) / "samples.jsonl")
            write_samples(files[-1], samples)
        for place, table in enumerate(measures):
            table.to_csv(tmp_path / str(place) / "measures.csv", index=False)
        given = [tmp_path / str(place) / "measures.csv" for place in range(len(measures))]
        outputs = [tmp_path / "out" / f"{name}.csv" for name in ("regard", "fairness", "texts")]
        evaluation.evaluate(
            files,
            given,
            settings,
            trained,
            seed,
            evaluation.Outputs(*outputs),
            tmp_path / "prompts.yaml",
            **options,
        )
        return [pd.read_csv(path) for path in outputs]

    return evaluate


@pytest.fixture
def write(tmp_path):
    """A function that writes YAML and returns its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def lexicon(write):
    return write("lexicon.yaml", language_commands.LEXICON)


@pytest.fixture
def prompts(write):
    return write("prompts.yaml", language_commands.PROMPTS)


@pytest.fixture
def tokens(tmp_path, tokenizer):
    """A tokenizer's folder."""
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"
