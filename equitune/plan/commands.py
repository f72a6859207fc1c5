"""Arguments of commands, and the models of a cell, as the rules spell them."""

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from equitune.compat import extra
from equitune.config import GROUPLESS, IDENTITY, Config
from equitune.io import flat
from equitune.methods import METHODS

with extra("workflow"):
    from pydantic.fields import FieldInfo

# set in workflow/rules/place.smk; by hand the active environment's
EQUITUNE = '"${EQUITUNE:-equitune}"'
# for what is no command of the package
PYTHON = 'PYTHONPATH="${EQUITUNE_PATH:-.}" HF_HUB_OFFLINE=1 "${EQUITUNE_PYTHON:-python}"'
LAUNCHER = Path(__file__).with_name("equitune.sh")  # what EQUITUNE is set to


def option(name: str, *values: object) -> str:
    """Return an option of a command, once for each value there is, quoted for the shell."""
    return " ".join(f"{name} {shlex.quote(str(value))}" for value in values if value)


def as_text(settings: Any) -> str:
    """Return a dataclass as one argument of a command, without what is as by default."""
    plain = _changed(settings)
    text = flat.write(flat.dotted(plain))
    return flat.write(plain) if text.startswith("{") else text


def changed(name: str, settings: Any) -> str:
    """Return a dataclass as an option of a command, nothing where all is as by default."""
    text = as_text(settings)
    return "" if text == "{}" else option(name, text)


class Commands:
    """How the commands of the rules begin and end; what is as by default is left out.

    Args:
        config: says the device, the level of determinism and the ranks of a training.
    """

    def __init__(self, config: Config) -> None:
        """Work out the options."""
        level, device, self._ranks = config.determinism, config.device, config.gpus_per_job
        self._determinism = "" if level == "seeded" else f" --determinism {level}"
        self._device = "" if device == "auto" else f" --device {device}"

    def run(self, text: str, environment: str = "") -> str:
        """Return a command that computes nothing on a device.

        Args:
            text: the command, with its arguments as the rule knows them.
            environment: variables that are set for it.
        """
        return f"{_begin(text, environment)} {text}"

    def python(self, text: str, before: str = "") -> str:
        """Return how a script of benchmarks/ or a further Snakemake is started.

        Args:
            text: arguments of Python.
            before: what the shell does before.
        """
        return f"{before}{escaped(PYTHON)} {text}"

    def compute(self, text: str) -> str:
        """Return a command that computes on a device."""
        return f"{_begin(text)}{self._determinism} {text}{self._device}"

    def start(self, resources: Mapping[str, Any]) -> str:
        """Return how a training starts: as a process, as ranks, or as ranks on several nodes.

        Args:
            resources: of the job; `tasks` with `mpi` are nodes, as the SLURM profile gives them.
        """
        command = EQUITUNE
        if resources.get("mpi"):
            nodes = resources.get("tasks")
            each = f"--nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --kill-on-bad-exit=1"
            command = f"{resources.get('mpi')} {each} {command} --ranks {self._ranks}"
        elif self._ranks > 1:
            command = f"{command} --ranks {self._ranks}"
        return command

    def train(self, text: str) -> str:
        """Return a command that saves its state in time and resumes from it, in results/states.

        The rule's `params.start` is what `start` returns.
        """
        begin = f"{{params.start}}{_log(text)} --minutes {{resources.runtime}}"
        return f"{begin}{self._determinism} {text}{self._device}"


def _begin(text: str, environment: str = "") -> str:
    """How each command begins.

    No path of this machine is part of it, so that a project that was moved is not run anew.
    """
    return f"{environment} {escaped(EQUITUNE)}{_log(text)}".lstrip()


def _log(text: str) -> str:
    """The option for a job's log, left out where it follows from the output (io/layout.py)."""
    return "" if "--output {output" in text else " --log {log:q}"


def escaped(text: str) -> str:
    """Return a text as Snakemake's shell directive takes it whole."""
    return text.replace("{", "{{").replace("}", "}}")


def how(method: str) -> list[Any]:
    """Return what a method does, for a rule's params: another name or colour changes no result."""
    shown = ("name", "label", "colour", "experiments")
    facts = dataclasses.asdict(METHODS[method])
    return [value for fact, value in facts.items() if fact not in shown]


def models(cell: str, methods: Iterable[str], groups: Iterable[str]) -> Iterator[str]:
    """Yield the models of a cell by method and group, in the order of the configuration.

    Args:
        cell: its folder.
        methods: those without a group have the identity's folder.
        groups: of the other methods.
    """
    groups = list(groups)
    for method in methods:
        for group in [IDENTITY] if method in GROUPLESS else groups:
            yield f"{cell}/{method}/{group}/model.safetensors"


def _changed(value: Any) -> Any:
    """Return a dataclass as JSON, without the fields that have their default value."""
    if not dataclasses.is_dataclass(value):
        return value
    changed = {}
    for field in dataclasses.fields(value):
        default = field.default
        if isinstance(default, FieldInfo):  # of pydantic
            default = default.get_default(call_default_factory=True)
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        own = getattr(value, field.name)
        if own != default:
            changed[field.name] = _changed(own)
    return changed
