"""What the SCAN experiment consists of."""

from equitune.config import IDENTITY, Permutation, Scan
from equitune.methods import METHODS
from equitune.plan.braces import braces
from equitune.plan.commands import as_text, models
from equitune.plan.registry import Registry

CELL = "results/scan/{task}/{architecture}/seed{seed}"


class ScanPlan:
    """Files and arguments of SCAN by task, architecture, method, group and seed."""

    def __init__(self, config: Scan, registry: Registry) -> None:
        """Store the settings."""
        self.config, self.registry = config, registry

    def models(self, task: str, architecture: str, seed: str) -> list[str]:
        """The models of one task, architecture and seed."""
        cell = CELL.format(task=task, architecture=architecture, seed=seed)
        return list(models(cell, self.config.methods, self.config.groups[task]))

    def published(self, task: str) -> list[str]:
        """The published files of a task, none where its lines are generated."""
        if self.config.source == "grammar":
            return []
        return [self.registry.retrieved(f"scan_{task}_{part}") for part in ("train", "test")]

    def lines(self, task: str, part: str) -> str:
        """The file of a task's training or test lines."""
        own = self.config.splits.get(task)
        return f"results/scan/{task}/{part}.txt" if own is None else str(getattr(own, part))

    def retrieved(self) -> list[str]:
        """The files of lines that are generated or retrieved."""
        tasks = [task for task in self.config.tasks if task not in self.config.splits]
        return [self.lines(task, part) for task in tasks for part in ("train", "test")]

    def checked(self, task: str) -> str:
        """The permutations that the lines of a task are compared with, as options."""
        named = (f"{group}={self.permutation(group)}" for group in self.config.groups[task])
        return braces(named, "--permutation")

    def permutation(self, group: str) -> str:
        """The cycles of a group as the commands take them; none for the identity."""
        known = Permutation() if group == IDENTITY else self.config.permutations[group]
        return as_text(known)

    def training(self, architecture: str, method: str) -> str:
        """The settings by which a method's model is trained."""
        scratch = METHODS[method].layers
        plans = self.config.pretraining if scratch else self.config.tuning
        return as_text({str(name): plan for name, plan in plans.items()}[architecture])

    def reference(self, task: str) -> str:
        """The cycles of the group that models without one are measured by."""
        return self.permutation(self.config.groups[task][0])
