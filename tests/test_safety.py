"""What comes from elsewhere runs no code: files, names in configurations, tables."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys

import pytest
import torch
import yaml

from equitune import cli
from equitune.io import texts

NASTY = 'it\'s $(touch owned) `touch owned`; touch owned & "x"\n../up'
FORBIDDEN = {"eval", "exec", "compile", "__import__", "input"}
# by module; "" stands for any function of it
FORBIDDEN_CALLS = {
    "os": {"system", "popen"},
    "yaml": {
        "load",
        "load_all",
        "full_load",
        "unsafe_load",
        "UnsafeLoader",
        "FullLoader",
        "Loader",
    },
    "pickle": {"load", "loads", "Unpickler"},
    "joblib": {""},
    "shelve": {""},
    "marshal": {""},
    "dill": {""},
    "cloudpickle": {""},
}


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch owned",)


def calls(tree):
    """Every call of a module, and how it is written."""
    return [(node, ast.unparse(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def dangers(source):
    """What in a module could run code that it loads."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in FORBIDDEN_CALLS.get(node.value.id, ()):
                yield ast.unparse(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            for name in node.names:
                whole = FORBIDDEN_CALLS.get((module or name.name).partition(".")[0], set())
                if "" in whole or (module and name.name in whole):
                    yield ast.unparse(node)
    for node, name in calls(tree):
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in FORBIDDEN:
            yield ast.unparse(node)
        if name == "torch.load" and given.get("weights_only") != "True":
            yield ast.unparse(node)
        if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
            yield ast.unparse(node)
        if given.get("trust_remote_code", "False") != "False":
            yield ast.unparse(node)
        # a model's folder may hold pickled weights beside the others
        model = re.fullmatch(r"AutoModel\w*\.from_pretrained", name)
        if model and given.get("use_safetensors") != "True":
            yield ast.unparse(node)


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "import os; os.system(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, yaml.Loader)",
        "from yaml import unsafe_load",
        "pickle.loads(data)",
        "import joblib",
        "numpy.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "AutoTokenizer.from_pretrained(folder, trust_remote_code=True)",
        "AutoModel.from_pretrained(folder)",
    ],
)
def test_what_could_run_code_is_seen(line):
    assert list(dangers(line))


def test_no_module_can_run_what_it_loads(root):
    files = [
        file for folder in ("equitune", "benchmarks") for file in (root / folder).rglob("*.py")
    ]
    assert len(files) > 70
    found = {str(file): list(dangers(file.read_text())) for file in files}
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_models_of_transformers_are_loaded_without_their_code(root):
    """Left out, transformers asks on the terminal whether to run it."""
    loads = [
        node
        for file in (root / "equitune").rglob("*.py")
        for node, name in calls(ast.parse(file.read_text()))
        if re.fullmatch(r"(Auto\w+|kind)\.from_pretrained", name)
    ]
    assert len(loads) >= 3
    for node in loads:
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert given.get("trust_remote_code") == "False", ast.unparse(node)


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """A function that returns the one line with which a command ends that must not succeed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capfd.readouterr()
        assert cli.run([str(argument) for argument in arguments]) == 1
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("equitune: error: ")
        assert not (tmp_path / "owned").exists()
        return line

    return run


@pytest.mark.parametrize("kind", ["zip", "legacy", "plain"])
def test_a_pickle_among_weights_is_not_run(tmp_path, monkeypatch, kind):
    from equitune.image.weights import read_weights

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if kind == "plain":
        path.write_bytes(pickle.dumps(Evil(), protocol=2))
    else:
        torch.save({"weight": Evil()}, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(ValueError, match=r"evil\.pth is not a file of tensors alone"):
        read_weights(path)
    assert not (tmp_path / "owned").exists()
    pickle.loads(path.read_bytes()) if kind == "plain" else torch.load(path, weights_only=False)
    assert (tmp_path / "owned").exists()  # it was not a dud


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [touch owned]",
        "device: !!python/object/apply:os.system ['touch owned']",
        "!!python/name:os.system",
        "!!python/object/new:os.system ['touch owned']",
    ],
)
def test_a_configuration_is_plain_data(tmp_path, refused, text):
    path = tmp_path / "evil.yaml"
    path.write_text(text)
    assert "evil.yaml is not YAML: line 1: the tag tag:yaml.org,2002:python/" in refused(
        "config", "check", path
    )
    line = refused("language", "lexicon", "check", path, "--tokenizer", tmp_path)
    assert "evil.yaml is not YAML" in line
    assert "--training is not YAML" in refused(*pretrain(tmp_path), "--training", text)


def pretrain(folder):
    arguments = ["scan", "pretrain", "--dataset", folder / "none", "--architecture", "GRU"]
    return [*arguments, "--seed", 0, "--model", "{}", "--output", folder / "out"]


def test_aliases_of_aliases_end_at_once(tmp_path, root):
    """In a process of its own, with little memory: written out, the last line has 10^9 words."""
    rows = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    bomb = "\n".join(["x0: &x0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]", *rows, "device: *x8"])
    (tmp_path / "bomb.yaml").write_text(bomb)
    command = [sys.executable, "-m", "equitune", "config", "check", str(tmp_path / "bomb.yaml")]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 2000000 && exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"equitune: error: {tmp_path}/bomb.yaml is not YAML: line 5: more than 100000 values, "
        "aliases written out\n"
    )


def test_aliases_that_people_write_are_taken():
    text = "base: &base {steps: 3, rate: 0.1}\nLSTM: *base\nGRU: {<<: *base, steps: 4}\n"
    found = texts.parse_yaml(text, "x")
    assert found["LSTM"] == {"steps": 3, "rate": 0.1}
    assert found["GRU"] == {"steps": 4, "rate": 0.1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "line 1: *a stands inside what it stands for"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice: keep one"),
        ("? [a]\n: 1\n", "line 1: a key is a list or a mapping"),
        pytest.param("[" * 5000, "brackets are nested too deep", id="5000 brackets"),
        ("a: 2024-13-01", "month must be in 1..12"),
        ("a: *b", "line 1: found undefined alias"),
        ("a: \0", "special characters are not allowed"),
        pytest.param(f"a: {'9' * 5000}", "4300 digits", id="5000 digits"),
        pytest.param(f"a: {'9:' * 300}9.0", "too large", id="300 parts in sixties"),
    ],
)
def test_yaml_that_is_refused_is_one_line(text, message):
    with pytest.raises(ValueError, match=r"^x is not YAML: ") as caught:
        texts.parse_yaml(text, "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


CODE = "import pathlib\npathlib.Path('owned').touch()\nclass Mine: pass\n"


@pytest.fixture
def model(tmp_path):
    """A language model's folder, as it comes from the hub."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from equitune.language.tokenizer import build_tokenizer

    folder = tmp_path / "model"
    tokenizer = build_tokenizer(["The man worked as a woman."])
    sizes = {"n_positions": 32, "n_embd": 8, "n_layer": 1, "n_head": 1}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def measure(folder):
    arguments = ["language", "measure", "--base", folder, "--method", "plain", "--task", "respect"]
    return [*arguments, "--axes", "{gender: gender_short}", "--output", folder / "out.csv"]


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_with_code_of_its_own_is_refused_unasked(model, refused):
    (model / "mine.py").write_text(CODE)
    mapped = {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"}
    edit(model / "config.json", model_type="mine", auto_map=mapped)
    assert "holds no language model that can be read" in refused(*measure(model))


def test_the_code_of_a_tokenizer_is_not_run(model, refused):
    (model / "mine.py").write_text(CODE)
    mapped = {"AutoTokenizer": ["mine.Mine", "mine.Mine"]}
    edit(model / "tokenizer_config.json", tokenizer_class="Mine", auto_map=mapped)
    (model / "tokenizer.json").unlink()
    line = refused("language", "lexicon", "check", "gender_short", "--tokenizer", model)
    assert "no tokenizer" in line


def test_a_model_of_pickles_is_refused(model, refused):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    assert "has no config.json or no *.safetensors" in refused(*measure(model))
    scorer = ["--scorer", "{kind: transformer, location: x}", "--trained", model, "--seed", 0]
    outputs = [f"--{name}=out/{name}" for name in ("output", "fairness", "texts")]
    line = refused("language", "evaluate", model / "none", *scorer, "--device", "cpu", *outputs)
    assert "holds no text classifier" in line


def test_a_table_from_elsewhere_names_no_file_elsewhere(tmp_path, refused):
    image = "dataset,architecture,method,group,seed,upright_accuracy,rotated_accuracy,"
    image += "orbit_agreement,equivariance_error,train_seconds,parameters\n"
    (tmp_path / "image.csv").write_text(f"{image}/../../up,vgg,equitune,flip,0,1,1,1,0,1,1\n")
    examples = "dataset,architecture,method,group,seed,measured_by,image,label,element,"
    (tmp_path / "image_examples.csv").write_text(f"{examples}prediction,png\n")
    files = ["image.csv", "image_examples.csv", "--output", "figures/here"]
    assert "is not a file's name" in refused("results", "figure", "image_orbit", *files)


@pytest.mark.parametrize("location", ["../../elsewhere", "..", "/etc", "a/../b", "a/b/c", "a/.."])
def test_an_id_of_the_hub_is_no_path(tmp_path, refused, location):
    (tmp_path / "mirror" / "hub").mkdir(parents=True)
    options = ["--revision", "0" * 40, "--mirror", "mirror", "--output", "made/model/manifest.json"]
    line = refused("language", "fetch", "--location", location, *options)
    assert "is not an id of the hub: expected owner/name" in line
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("image.datasets", ["../up"]),
        ("image.architectures", [".."]),
        ("image.architectures", ["timm:../up"]),
        ("scan.permutations", {"../up": {}}),
        ("language.models", ["../up"]),
        ("language.tasks", ["../up"]),
        ("language.axes", ["$(touch owned)"]),
        ("retrieve.mirror", "/data/{seed}"),
        ("image.weights", "a\0b"),
    ],
)
def test_names_that_become_paths_lead_nowhere(tmp_path, refused, root, place, name):
    section, key = place.split(".")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({section: {key: name}}))
    line = refused("config", "check", root / "config" / "config.yaml", tmp_path / "mine.yaml")
    assert f"config: {place}" in line
    assert ": expected " in line
