"""The signature of a wrapper's forward: on an instance it is that of the module inside.

`EquiTuned` takes the arguments of its module. Code that inspects their names, such as
``torch.export.export(model, (x,), dynamic_shapes=({0: batch},))``, gets those of the module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import nn

PLAIN = (bool, int, float, str, type(None))  # defaults that are kept; of others `...` stands there


class AsModule:
    """A method `forward(self, *inputs, **named)` with the signature in the instance's `_signature`.

    Args:
        function: the method.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Store it."""
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, model: nn.Module | None, owner: type | None = None) -> Callable[..., Any]:
        """Return the method of a model, or the function of the class."""
        if model is None:
            return self.function
        signature = vars(model).get("_signature")
        if signature is None or torch.compiler.is_compiling():  # a compiler cannot make functions
            return partial(self.function, model)
        own: Any = self.function
        named: Any = FunctionType(own.__code__, own.__globals__, own.__name__)
        named.__signature__, named.__doc__ = signature, own.__doc__
        return MethodType(named, model)


def signature_of(module: Any) -> inspect.Signature | None:
    """Return the signature of a module's forward, self first; None if it hides it.

    Annotations, and defaults that may be anything, are left out, so that it can be pickled.
    """
    try:
        found = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # scripted ones
        return None
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    return inspect.Signature([own, *map(_bare, found)])


def _bare(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    if default is not inspect.Parameter.empty and not isinstance(default, PLAIN):
        default = ...
    return parameter.replace(annotation=inspect.Parameter.empty, default=default)
