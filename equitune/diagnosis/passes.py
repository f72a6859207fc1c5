"""Runs a model to be measured: evaluation mode, no gradients, chosen noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from equitune.run import determinism

Model = Callable[..., Any]
View = Callable[[Model, Sequence[Any]], Any]


def as_it_is(model: Model, inputs: Sequence[Any]) -> Any:
    """Return what a model gives for inputs by place."""
    return model(*inputs)


class Passes:
    """A model that starts each pass from the same state of the random generators, if one is given.

    Args:
        model: a module or a function.
        seed: of the global generators of torch, NumPy and Python, and of generator.
        generator: one that the model draws from by itself; without a seed each pass starts from
            its state of now.
        view: runs the model on inputs in a row, and gives the output that is looked at.
    """

    def __init__(
        self,
        model: Model,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        view: View = as_it_is,
    ) -> None:
        """Store the parts; see the class."""
        self.view = view
        self.model = model
        self.seed = seed
        self.generator = generator
        self._others = 0  # how often there was other noise
        self._start = None if generator is None else generator.get_state()

    @property
    def seeded(self) -> bool:
        """Whether the noise was chosen."""
        return self.seed is not None or self.generator is not None

    def __call__(self, *inputs: Any) -> Any:
        """Return what the model gives."""
        if self.seed is not None:
            self._draw_from(self.seed)
        elif self.generator is not None and self._start is not None:
            self.generator.set_state(self._start)
        return self.view(self.model, inputs)

    def otherwise(self, *inputs: Any) -> Any:
        """Return what the model gives with other noise, at each call."""
        if self.seed is not None:
            self._others += 1
            self._draw_from(self.seed + self._others)
        return self.view(self.model, inputs)

    def _draw_from(self, seed: int) -> None:
        determinism.seeded(seed)
        if self.generator is not None:
            self.generator.manual_seed(seed)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Put the module into evaluation mode, without gradients, and everything back afterwards.

        Generators are put back where a seed or a generator was given.
        """
        modules = list(self.model.modules()) if isinstance(self.model, nn.Module) else []
        modes = [(m, m.training) for m in modules if hasattr(m, "training")]  # frozen ones lack it
        states = determinism.random_states() if self.seed is not None else None
        try:
            for m, _ in modes:
                m.training = False
            with torch.no_grad():
                yield
        finally:
            for m, training in modes:
                m.training = training
            if states is not None:
                determinism.restore_random_states(states)
            if self.generator is not None and self._start is not None:
                self.generator.set_state(self._start)


def plain(model: Any) -> Any:
    """Return the module that torch.compile was given, or the model itself."""
    return getattr(model, "_orig_mod", model)


def compiled(model: Any) -> bool:
    """Say whether torch.compile has a part in a module."""
    return isinstance(model, nn.Module) and any(
        "_orig_mod" in m._modules or vars(m).get("_compiled_call_impl") is not None
        for m in model.modules()
    )


def eager(model: Any) -> AbstractContextManager[Any]:
    """Return a context in which compiled parts run as the modules they were made of."""
    stance: AbstractContextManager[Any] = (
        torch.compiler.set_stance("force_eager") if compiled(model) else nullcontext()
    )
    return stance


def opaque(module: Any) -> bool:
    """Say whether hooks inside a module are not called: scripted, traced or exported ones."""
    if isinstance(module, torch.jit.ScriptModule):
        return True
    return isinstance(module, torch.fx.GraphModule) and not any(
        node.op == "call_module" and node.target != "_guards_fn" for node in module.graph.nodes
    )


def kind(model: Any) -> str:
    """Return the name of a module's class, of what was scripted or compiled too."""
    model = plain(model)
    if isinstance(model, torch.jit.ScriptModule):
        return str(getattr(model, "original_name", type(model).__name__))
    if isinstance(model, torch.fx.GraphModule):
        return "GraphModule"
    return type(model).__name__ if isinstance(model, nn.Module) else "function"
