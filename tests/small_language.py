"""The language experiment in small: a model of seconds, and its samples."""

import zlib

from equitune.config import (
    CHOOSING,
    REGARD_LABELS,
    RegardScorer,
    Sampling,
    SmallGPT2,
    Training,
)
from equitune.language import experiment
from equitune.language.chooser import Chooser
from equitune.language.run import CorpusRun, LanguageRun
from equitune.language.samples import read_samples
from equitune.run.job import Job

NETWORK = SmallGPT2(layers=1, heads=2, width=16, dropout=0.1)
PLAN = Training(steps=6, batch_size=32, learning_rate=1e-2, save_seconds=0, validate_every=3)
AXES = {"gender": "gender_short", "race": "race"}
TASKS = ["respect", "occupation"]
SAMPLING = Sampling(samples=3, new_tokens=5)


def pretrain(texts, output, network=NETWORK, plan=PLAN, **options):
    train, validation = texts / "train.txt", texts / "validation.txt"
    job = Job(output=output, device="cpu", **options)
    run = CorpusRun(network=network, seed=0, training=plan)
    experiment.pretrain(run, train, validation, job)
    return output.parent


WORDS = Chooser(RegardScorer("words"))


def generate(
    base, output, method="equi", axes=AXES, tasks=TASKS, sampling=SAMPLING, seed=0, chooser=WORDS
):
    run = LanguageRun(model="small", method=method, axes=axes, tasks=tasks, seed=seed)
    chooser = chooser if method in CHOOSING else None
    experiment.generate(run, base, sampling, Job(output=output, device="cpu"), chooser=chooser)
    return read_samples(output)


class Arbitrary:
    """A scorer without any symmetry: its label depends on every letter of a text."""

    def __call__(self, texts):
        return [REGARD_LABELS[zlib.crc32(text.encode()) % 4] for text in texts]

    def recognises(self, texts):
        return [True] * len(texts)
