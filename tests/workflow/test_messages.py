"""What the workflow says when something is wrong, and that nothing is left of it."""

import re

import pytest
import torch
import torchvision

pytestmark = pytest.mark.workflow
MODEL = "results/logs/scan/add_jump/RNN/seed0/pretrained/identity/model.safetensors.log"


def test_a_failed_job_leaves_its_traceback_in_its_log_and_no_output(snakemake, small, tmp_path):
    small["scan"]["architectures"] = ["RNN"]
    small["scan"]["pretraining"]["RNN"] |= {"learning_rate": 1.0e30, "gradient_clip": 0}
    done = snakemake(tmp_path, "--cores", "1", "scan", settings=small)
    assert done.returncode == 1
    assert done.stderr.count("Error in rule pretrain_scan") == 1  # what is wrong stays wrong
    log = tmp_path / MODEL
    assert "Traceback" in log.read_text()
    assert "lower learning_rate" in log.read_text()
    last = [line for line in done.stderr.splitlines() if line.startswith("equitune: error: ")][-1]
    place = log.relative_to(tmp_path)
    assert last.startswith(f"equitune: error: {place}: add_jump RNN pretrained: the loss is")
    assert done.stderr.rindex(last) > done.stderr.rindex("Exiting because a job execution failed")
    assert not list((tmp_path / "results/scan").glob("**/model.safetensors"))


def test_published_weights_come_from_a_mirror_and_are_checked(snakemake, small, tmp_path):
    mirror = tmp_path / "mirror" / "imagenet"
    mirror.mkdir(parents=True)
    file = mirror / "resnet18-f37072fd.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    small["image"] |= {"architectures": ["resnet18"], "weights": "imagenet"}
    small["retrieve"] = {"mirror": str(mirror.parent)}
    target = "results/weights/resnet18.pth"
    done = snakemake(tmp_path, "--cores", "1", "--retries", "0", target, settings=small)
    assert done.returncode == 1
    log = (tmp_path / "results/logs/weights/resnet18.pth.log").read_text()
    assert f"{file} has {file.stat().st_size} bytes, expected 46830571" in log
    assert not (tmp_path / target).exists()


def test_an_unknown_file_of_a_dataset_is_one_line(snakemake, small, tmp_path):
    source = {"kind": "archive", "size": 32, "location": "hymenptera"}
    small["image"]["sources"] = {"mine": source}
    done = snakemake(tmp_path, "--cores", "1", "image", settings=small)
    assert done.returncode == 1
    line = "config: image.sources.mine.location: unknown file 'hymenptera'; did you mean 'hymen"
    assert line in done.stderr


def test_an_unknown_file_of_samples_is_one_line(snakemake, small, tmp_path):
    small["language"]["sources"] = {"mine": {"kind": "samples", "location": "gpt2_sample"}}
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 1
    place = "config: language.sources.mine.location"
    assert f"{place}: unknown file 'gpt2_sample'; did you mean 'gpt2_samples'" in done.stderr


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"scan": {"architectures": ["LTSM"]}},
            "config: scan.architectures[0]: unknown value 'LTSM'; did you mean 'LSTM'?",
        ),
        (
            {"scan": {"sedes": [1]}},
            "config: unknown key 'sedes' in scan; did you mean 'seeds' or 'methods'?",
        ),
        (
            {"image": {"datasets": ["digitz"]}},
            "config: image.datasets[0]: unknown dataset 'digitz'; did you mean 'digits'?",
        ),
        (
            {"language": {"models": ["smal"]}},
            "config: language.models: unknown model 'smal'; did you mean 'small' or 'smollm2'?",
        ),
        (
            {"image": {"weights": "none.pth"}},
            "config: image.weights: none.pth does not exist: expected a file of weights; or "
            "imagenet, or self (looked at {folder}/none.pth)",
        ),
    ],
)
def test_a_misspelt_configuration_is_one_line(snakemake, tmp_path, settings, line):
    done = snakemake(tmp_path, "--cores", "1", "--dry-run", settings=settings)
    assert done.returncode == 1
    notices = ("Using workflow specific profile", "Config file")  # Snakemake's own, at every start
    lines = [text for text in done.stderr.splitlines() if not text.startswith(notices)]
    assert lines == [line.replace("{folder}", str(tmp_path))]


def test_every_rule_has_what_the_house_asks_for(root):
    """A log for the traceback and an environment; a benchmark where a model is trained."""
    for file in (root / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            name = rule.partition(":")[0]
            if "shell:" in rule:
                assert '"python ' not in rule, f"{name}: OWN_PYTHON, or COMMANDS"
                assert "log:" in rule, name
                assert "conda:" in rule, name
            if "COMMANDS.train(" in rule or '"language generate ' in rule:
                assert "benchmark:" in rule, name
