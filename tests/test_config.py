"""The configuration: a mistake is one line with the way out."""

import copy
from dataclasses import replace
from typing import get_args

import pytest

from equitune import config
from equitune.scan import grammar


def changed(default, path, value):
    """A copy of the default configuration with one key set, or removed (value ...)."""
    result = copy.deepcopy(default)
    *parents, key = path.split(".")
    section = result
    for parent in parents:
        section = section[parent]
    if value is ...:
        del section[key]
    else:
        section[key] = value
    return result


def test_an_architecture_has_settings_of_its_own(default):
    builders = {
        "alexnet": {"backbone": "frozen"},
        "resnet18": {"channels_last": True},
        "vgg11_bn": {"channels_last": False, "backbone": "trained", "head": "linear"},
    }
    four = changed(default, "image.architectures", [*builders, "densenet121"])
    image = config.load(changed(four, "image.builders", builders)).image
    image = replace(image, model=replace(image.model, chunk_size=3))
    found = {
        name: (own.backbone, own.head, own.channels_last, own.chunk_size)
        for name in image.architectures
        if (own := image.settings(name))
    }
    assert found == {
        "alexnet": ("frozen", "shared", False, 3),
        "resnet18": ("trained", "shared", True, 3),
        "vgg11_bn": ("trained", "linear", False, 3),
        "densenet121": ("trained", "shared", False, 3),
    }


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("scan.architectures", ["LTSM"], "scan.architectures[0]: unknown value 'LTSM'; did you"),
        ("scan.architecture", ["LSTM"], "unknown key 'architecture' in scan; did you mean 'archit"),
        ("scan.tasks", ["add_jmp"], "did you mean 'add_jump'?"),
        ("scan.methods", ["equitun"], "did you mean 'equitune' or"),
        ("scan.groups.add_jump", ["jump_runn"], "unknown permutation 'jump_runn'; did you mean"),
        ("scan.groups.around_right", [], "task 'around_right' has no group; add around_right: ["),
        ("scan.groups.add_jmp", ["jump_run"], "unknown task 'add_jmp'; did you mean 'add_jump'?"),
        ("scan.tasks", ["simple"], "set scan.source: published"),
        ("scan.permutations.identity", {}, "the name 'identity' is reserved"),
        (
            "scan.permutations.x",
            {"command": []},
            "unknown key 'command' in scan.permutations.x; di",
        ),
        ("scan.permutations.a/b", {}, "'a/b'"),
        ("scan.tuning.GRU", ..., "nothing for GRU; add scan.tuning.GRU"),
        ("scan.tuning.GRU.learning_rate", -1, "scan.tuning.GRU.learning_rate is -1"),
        ("scan.tuning.GRU.stepps", 3, "unknown key 'stepps' in scan.tuning.GRU; did you mean 'st"),
        ("scan.tuning.GRU.optimizer", "adma", "did you mean 'adam' or 'adamw'?"),
        ("scan.methods", "finetune", "scan.methods is 'finetune': expected a list, as [finetune]"),
        ("scan.seeds", 3, "scan.seeds is 3: expected a list, as [3]"),
        ("scan.seeds", None, "scan.seeds is None: expected a list, as [A, B]"),
        ("image", None, "image has no keys: indent the lines below it, or leave it out"),
        ("scan.splits", None, "scan.splits has no keys: indent the lines below it, or leave it"),
        ("scan.model", 3, "scan.model is 3: expected keys with values, as {embedding: …}"),
        (
            "image.tuning.steps",
            3,
            "image.tuning.steps is 3: expected a name, and the key inside, as alexnet: {steps: 3}",
        ),
        ("scan.seeds", ["one"], "scan.seeds[0] is 'one'"),
        ("scan.validation_fraction", 1.5, "scan.validation_fraction is 1.5"),
        ("scan.subset", 0, "scan.subset is 0"),
        ("gpus_per_job", 0, "gpus_per_job is 0"),
        ("scan.tuning.GRU.adapter", {"rank": 2}, "scan.tuning.GRU.adapter: recurrent cells take n"),
        ("image.pretraining.alexnet.adapter", {"rank": 2}, "no meaning for a model from scratch"),
        ("language.pretraining.adapter", {"rank": 2}, "language.pretraining.adapter has no meanin"),
        ("language.tuning.training.adapter", None, "adapters are all that is tuned; set adapter"),
        ("language.tuning.training.adapter.rnk", 2, "unknown key 'rnk' in language.tuning.trainin"),
        ("scan.permutations.jump_run.commands", [["jmp", "run"]], "did you mean 'jump'"),
        ("scan.permutations.jump_run.actions", [["I_JUMP", "I_RNU"]], "[0][1]: unknown word"),
        ("scan.permutations.verbs.commands", [["jump", "run"], ["jump"]], "'jump' stands there tw"),
        ("scan.tasks", [], "scan.tasks is []"),
        ("scan.seeds", [0, 1, 0], "scan.seeds: 0 is listed twice"),
        ("scan.groups.add_jump", ["verbs", "verbs"], "scan.groups.add_jump: 'verbs' is listed"),
        (
            "language.methods",
            ["gpt2", "equi"],
            "language.methods[0]: unknown value 'gpt2'; it is called 'plain' now",
        ),
        (
            "language.models",
            ["small", "gpt3"],
            "models: unknown model 'gpt3'; did you mean 'gpt2'?",
        ),
        (
            "language.models",
            ["small", "small"],
            "language.models: 'small' is listed twice; list",
        ),
        ("language.methods", ["equi", "equi"], "language.methods: 'equi' is listed twice; list"),
        ("language.methods", ["equl"], "language.methods[0]: unknown value 'equl'; did you mean"),
        ("language.axes", ["race", "race"], "language.axes: 'race' is listed twice; list it"),
        ("language.tasks", ["respect", "respect"], "language.tasks: 'respect' is listed twice"),
        ("language.seeds", [0, 0], "language.seeds: 0 is listed twice; list it once"),
        ("language.tuning.methods", ["equizero"], "language.tuning.methods: equizero chooses amo"),
        ("language.tuning.models", ["gpt2"], "language.tuning.models: 'gpt2' is not a model of"),
        ("language.scorer", "tfdf", "language.scorer: unknown 'tfdf'; did you mean 'tfidf'?"),
        (
            "language.lexicons.race",
            ...,
            "axes: no lexicon for race; add race: NAME to language.lex",
        ),
        ("language.axes", ["age"], "language.axes: no lexicon for age; add age: NAME to language"),
        (
            "language.axes",
            ["gendre"],
            "add gendre: NAME to language.lexicons; did you mean 'gender'?",
        ),
        ("language.sources.gpt2.location", ..., "language.sources.gpt2: kind hub needs a location"),
        ("language.sources.gpt2.revision", None, "sources.gpt2: pin the hub's model by revision: "),
        (
            "language.sources.mine",
            {"kind": "folder"},
            "language.sources.mine: kind folder needs a location",
        ),
        (
            "language.sources.published.location",
            "",
            "language.sources.published: kind samples needs a location",
        ),
        ("language.sources.small.kind", "corpse", "unknown value 'corpse'; did you mean 'corpus'?"),
        (
            "language.sources.smollm2.scorer",
            "sentimant",
            "language.sources.smollm2.scorer: unknown 'sentimant'; did you mean 'sentiment'?",
        ),
        (
            "language.sources.smollm2.axes",
            ["race", "age"],
            "language.sources.smollm2.axes: no lexicon for age; add age: NAME to language.lexicons",
        ),
        (
            "language.sources.smollm2.tasks",
            ["respect", "respect"],
            "language.sources.smollm2.tasks: 'respect' is listed twice; list it once",
        ),
        (
            "language.sources.smollm2.methods",
            ["equl"],
            "language.sources.smollm2.methods[0]: unknown value 'equl'; did you mean 'equi'",
        ),
        ("language.sources.smollm2.samples", 0, "language.sources.smollm2.samples is 0"),
        ("language.sources.smollm2.axes", [], "language.sources.smollm2.axes is []"),
        (
            "language.sources.published.methods",
            ["plain"],
            "language.sources.published.methods has no meaning for kind samples: the texts are",
        ),
        (
            "language.scorers.tfidf",
            {"kind": "tfidf"},
            "language.scorers.tfidf: kind tfidf needs a location",
        ),
        (
            "language.scorers.mine",
            {"kind": "transformer"},
            "language.scorers.mine: kind transformer needs a location",
        ),
        (
            "language.scorers.smollm2_hidden.location",
            None,
            "language.scorers.smollm2_hidden: kind hidden needs a location",
        ),
        (
            "language.scorers.smollm2_hidden.model",
            None,
            "language.scorers.smollm2_hidden: kind hidden needs a model, a name in sources",
        ),
        (
            "language.scorers.smollm2_hidden.model",
            "smollm",
            "language.scorers.smollm2_hidden.model: unknown 'smollm'; did you mean 'smollm2'",
        ),
        (
            "language.scorers.smollm2_hidden.model",
            "small",
            "smollm2_hidden.model: small is of kind corpus: name a pretrained model",
        ),
        (
            "language.scorers.tfidf.model",
            "smollm2",
            "language.scorers.tfidf.model has no meaning for kind tfidf: leave it out",
        ),
        (
            "language.scorers.regardv3.labels",
            {"LABEL_0": "negativ"},
            "unknown value 'negativ'; did you mean 'negative'",
        ),
        ("language.network.heads", 5, "language.network: width 32 is not a multiple of 5 heads"),
        (
            "language.sources.bot",
            {"kind": "texts", "location": "a.csv"},
            "language.sources.bot: kind texts needs one axis, what its groups differ in",
        ),
        (
            "language.scorers.mine",
            {"kind": "python"},
            "language.scorers.mine: kind python needs a location",
        ),
        ("language.sampling.top_p", 0, "language.sampling.top_p is 0"),
        ("language.sampling.topk", 4, "unknown key 'topk' in language.sampling; did you mean 'top"),
        ("language.per_prompt", 5, "language.per_prompt is 5"),
        ("device", "gpu", "device is 'gpu': expected auto, cpu, cuda, cuda:N or mps"),
        ("device", ..., "device is missing; config/config.yaml has every key"),
        ("scan", None, "scan has no keys: indent the lines below it"),
        ("retrieve.miror", "x", "unknown key 'miror' in retrieve; did you mean 'mirror'?"),
        ("devise", "cpu", "unknown key 'devise' in the configuration; did you mean 'device'?"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_write(default, path, value, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is checked below)
        config.load(changed(default, path, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("config: ")


def test_a_model_has_settings_of_its_own_or_else_the_experiments(default):
    language = config.load(default).language
    small, real = language.of("small"), language.of("smollm2")
    assert (small.axes, small.tasks) == (language.axes, language.tasks)
    assert (small.methods, small.scorer) == (language.methods, "words")
    assert small.sampling == language.sampling
    assert (real.axes, real.tasks) == (language.axes, ["respect"])
    assert (real.methods, real.scorer) == (["plain", "equi", "relaxed"], "sentiment")
    assert real.sampling == replace(language.sampling, samples=50, shared_stream=True)
    assert language.of("published").methods == ["plain"]
    other = changed(default, "language.sources.smollm2.methods", ["equi"])
    other["language"]["sources"]["smollm2"] |= dict.fromkeys(("axes", "samples", "scorer"))
    real = config.load(other).language.of("smollm2")
    assert (real.methods, real.axes, real.scorer) == (["equi"], language.axes, "words")
    assert real.sampling.samples == language.sampling.samples


def test_values_from_the_command_line_arrive_as_text_and_are_taken(default):
    loaded = config.load(changed(default, "scan.seeds", ["3", "4"]))
    assert loaded.scan.seeds == [3, 4]


def test_a_group_of_ones_own_needs_a_name_only(default):
    mine = changed(default, "scan.permutations.mine", {"commands": [["walk", "look"]]})
    mine["scan"]["groups"]["add_jump"] = ["mine"]
    assert config.load(mine).scan.permutations["mine"].actions == []


def test_the_words_of_permutations_are_those_of_the_language():
    assert set(get_args(config.CommandWord)) == set(grammar.COMMAND_WORDS)
    assert set(get_args(config.ActionWord)) == set(grammar.ACTION_WORDS)


def test_an_adapter_of_a_frozen_backbone_is_refused(default):
    frozen = changed(default, "image.model.backbone", "frozen")
    plan = changed(frozen, "image.tuning.resnet18.adapter", {"rank": 2})
    with pytest.raises(ValueError, match=r"tuning.resnet18.adapter has no meaning for a frozen"):
        config.load(plan)


def test_one_gpu_for_several_ranks_is_refused(default):
    plan = changed(changed(default, "gpus_per_job", 2), "device", "cuda:1")
    with pytest.raises(ValueError, match="gpus_per_job is 2 with device cuda:1, which is one GPU"):
        config.load(plan)


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("scan.seeds", "--config 'scan={seeds: VALUE}'"),
        ("scan.tuning.GRU.steps", "--config 'scan={tuning: {GRU: {steps: VALUE}}}'"),
    ],
)
def test_a_key_with_dots_is_answered_by_the_right_form(default, key, form):
    with pytest.raises(ValueError, match="write what is inside a section in braces") as error:
        config.load({**default, key: 1})
    assert str(error.value).endswith(form)
