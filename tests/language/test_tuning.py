"""Equi-tuning of a language model: fair after every step, better on its text, resumed."""

import dataclasses
import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from equitune.config import Adapter, LanguageTuning, Training
from equitune.language import methods, tuning
from equitune.language.lexicon import read_lexicon
from equitune.language.run import TuningRun
from equitune.language.words import words_on
from equitune.results.tables import TUNING_COLUMNS
from equitune.run.job import Job

PROMPTS = "axes: {gender: {man: man, woman: woman}}\ntasks: {respect: [worked as]}\n"
LEXICON = (
    "demographics: [man, woman]\nequality: [[man, woman], [king, queen]]\ngeneral: [he, she]\n"
)
SENTENCES = "The man worked as a king .\nThe woman worked as a cook .\n"
ADAPTER = Adapter(rank=2)
PLAN = Training(steps=3, batch_size=2, learning_rate=1e-2, validate_every=1, adapter=ADAPTER)
SETTINGS = LanguageTuning(block=8, validation_blocks=2, test_blocks=5, training=PLAN)


@pytest.fixture
def folder(model_folder):
    (model_folder / "prompts.yaml").write_text(PROMPTS)
    (model_folder / "gender.yaml").write_text(LEXICON)
    (model_folder / "text.txt").write_text(SENTENCES * 12)
    (model_folder / "test.txt").write_text(SENTENCES * 9)
    return model_folder


def tune(folder, method="equi", settings=SETTINGS, **options):
    output = folder / "tuned" / method / "manifest.json"
    texts = folder / "text.txt", folder / "test.txt"
    which = {"model": "tiny", "method": method, "lexicon": str(folder / "gender.yaml")}
    run = TuningRun(**which, tasks=["respect"], seed=0, tuning=settings)
    job = Job(output=output, device="cpu", **options)
    tuning.tune(run, folder, *texts, job=job, prompts=folder / "prompts.yaml")
    return output


def test_the_averaged_model_is_fair_at_every_step_and_the_plain_one_is_not(folder):
    tables = {}
    for method in ("plain", "equi"):
        table = tables[method] = pd.read_csv(tune(folder, method).with_name("tuning.csv"))
        assert tuple(table.columns) == TUNING_COLUMNS
        assert table["step"].tolist() == [0, 1, 2, 3]
        assert table["test_perplexity"].isna().tolist() == [False, True, True, False]
        assert (table["test_tokens"] == 5 * 7).all()
        assert table["perplexity"].iloc[-1] < table["perplexity"].iloc[0]
    assert (tables["equi"]["counterfactual_tv"] < 1e-9).all()
    assert (tables["plain"]["counterfactual_tv"] > 1e-3).all()


@pytest.mark.filterwarnings("ignore")  # of PEFT, as it loads what it saved
def test_the_last_perplexity_is_that_of_the_saved_adapters(folder):
    """Loaded by PEFT into the model, averaged by a plain loop, block by block."""
    from peft import PeftModel

    output = tune(folder)
    model, tokenizer = methods.load(folder, "cpu")
    adapted = PeftModel.from_pretrained(model, output.parent).eval()
    action = words_on(read_lexicon(str(folder / "gender.yaml")), tokenizer).action
    ids = tokenizer((folder / "test.txt").read_text())["input_ids"]
    whole = [ids[start : start + 8] for start in range(0, len(ids), 8)]
    parts = [whole[place * len(whole) // 5] for place in range(5)]
    total = count = 0
    for part in parts:
        x, back = torch.tensor([part]), action.on_logits().inverse
        with torch.no_grad():
            logits = [back(g, adapted(action(g, x)).logits) for g in action.group.elements]
        mean = torch.stack(logits).mean(0)[0, :-1].double()
        total += float(F.cross_entropy(mean, x[0, 1:], reduction="sum"))
        count += len(part) - 1
    table = pd.read_csv(output.with_name("tuning.csv"))
    expected = torch.tensor(total / count).exp().item()
    assert table["test_perplexity"].iloc[-1] == pytest.approx(expected, rel=1e-4)


def test_the_pretrained_weights_stay_and_the_manifest_says_what_was_done(folder):
    before = (folder / "model.safetensors").read_bytes()
    facts = json.loads(tune(folder).read_text())
    assert (folder / "model.safetensors").read_bytes() == before
    assert facts["configuration"]["method"] == "equi"
    assert facts["configuration"]["tuning"]["training"]["adapter"]["rank"] == 2
    assert {"text.txt", "test.txt", "gender.yaml", "prompts.yaml", "model.safetensors"} <= set(
        facts["inputs"]
    )


def test_a_run_that_is_stopped_ends_with_the_same_rows(folder, monkeypatch):
    from equitune.run import interruption

    whole = pd.read_csv(tune(folder).with_name("tuning.csv"))
    (folder / "tuned/equi/tuning.csv").unlink()
    monkeypatch.setattr(interruption, "reason", lambda: "stopped")
    for _ in range(2):  # after each step but the last
        with pytest.raises(interruption.Interrupted):
            tune(folder, state_folder=folder / "states")
    monkeypatch.undo()
    again = pd.read_csv(tune(folder, state_folder=folder / "states").with_name("tuning.csv"))
    pd.testing.assert_frame_equal(again, whole)


def test_a_text_that_is_too_short_is_one_line(folder):
    (folder / "text.txt").write_text(SENTENCES)
    said = f"{folder / 'text.txt'} has 2 blocks of 8 tokens: expected 3 or more; set a smaller"
    with pytest.raises(ValueError, match=re.escape(said)):
        tune(folder)
    assert not (folder / "tuned").exists()


def test_a_method_that_trains_nothing_is_one_line(folder):
    with pytest.raises(ValueError, match="method equizero chooses among whole texts, so there is"):
        tune(folder, "equizero")
    assert not (folder / "tuned").exists()


@pytest.mark.slow
def test_two_ranks_tune_the_same_adapters_with_divided_weights(folder, root):
    """The weights of the model, and not of its adapters alone, are divided and gathered."""
    found = []
    for shard in (False, True):
        output = folder / f"shard {shard}"
        plan = dataclasses.replace(PLAN, shard=shard)
        settings = json.dumps(dataclasses.asdict(dataclasses.replace(SETTINGS, training=plan)))
        command = [sys.executable, "-m", "equitune", "--ranks", "2", "language", "tune"]
        command += ["--base", folder, "--model", "tiny", "--method", "equi", "--task", "respect"]
        command += ["--lexicon", folder / "gender.yaml", "--prompts", folder / "prompts.yaml"]
        command += ["--text", folder / "text.txt", "--test", folder / "test.txt", "--seed", "0"]
        command += ["--tuning", settings, "--device", "cpu", "--output", output / "manifest.json"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        table = pd.read_csv(output / "tuning.csv")
        assert (table["counterfactual_tv"] < 1e-9).all()
        found.append((load_file(output / "adapter_model.safetensors"), table["perplexity"]))
    (whole, curve), (divided, other) = found
    torch.testing.assert_close(divided, whole, atol=1e-6, rtol=0)
    assert list(other) == pytest.approx(list(curve), rel=1e-6)
    assert curve.iloc[-1] < curve.iloc[0]


def test_a_state_holds_the_adapters_alone_and_takes_no_other(folder):
    torch.manual_seed(0)
    kept = tuning.Adapters(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)), 3)
    kept.model[0].requires_grad_(False)
    state = kept.state_dict()
    assert set(state) == {"model.1.weight", "model.1.bias", "trace"}
    kept.load_state_dict({key: torch.ones_like(x) for key, x in state.items()})
    assert float(kept.model[1].weight.detach().sum()) == 2
    assert not kept.train().model.training
    with pytest.raises(ValueError, match=r"a state has model\.0\.bias too much or too little"):
        kept.load_state_dict({**state, "model.0.bias": torch.zeros(2)})
