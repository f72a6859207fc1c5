"""Nothing that the package loads can run code."""

import ast

import pytest

FORBIDDEN = {
    "eval",
    "exec",
    "pickle.load",
    "pickle.loads",
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
    "joblib.load",
    "os.system",
}


def calls(code):
    """The calls in a module, by the name that is called."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {each.arg: each.value for each in node.keywords}


def faults(code):
    """What could run code that was loaded, or a text as a command."""
    found = []
    for name, options in calls(code):
        given = {key: ast.unparse(value) for key, value in options.items()}
        if name in FORBIDDEN or given.get("shell") == "True" or "trust_remote_code" in given:
            found.append(name)
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append(name)
        # a folder of a model may hold pickled weights beside the others
        model = name.startswith("AutoModel") and name.endswith(".from_pretrained")
        if model and given.get("use_safetensors") != "True":
            found.append(name)
        if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            found.append(name)
    return found


def test_the_package_calls_nothing_that_runs_what_it_loads(root):
    files = sorted((root / "equitune").rglob("*.py"))
    assert len(files) > 50
    found = {str(file): each for file in files if (each := faults(file.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        "pickle.load(file)",
        "yaml.load(file, Loader=yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "AutoModelForCausalLM.from_pretrained(folder)",
        "AutoTokenizer.from_pretrained(folder, trust_remote_code=True)",
        "subprocess.run(text, shell=True)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_such_a_call_would_be_found(code):
    assert faults(code)
