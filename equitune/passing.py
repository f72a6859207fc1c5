"""Passes of a model over the copies of its inputs: how many at once, which once, and in which form.

`EquiTuned` says which copies there are and combines what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equitune.actions import readable
from equitune.copies import Parts, checkpointed, moved, of_one_shape, unique_rows
from equitune.diagnosis.rows import first_rows, mixes_rows
from equitune.trees import Flat, flatten, joined, pick


class Passing(nn.Module):
    """A model that runs another one on moved copies of its inputs; see `EquiTuned`."""

    module: nn.Module
    output_action: Any
    chunk_size: int | None
    dedupe: bool
    frozen: bool
    output: str | int | None
    _tried: bool  # whether the module was found to keep its rows apart

    def _orbit(self, inputs: Flat, elements: Sequence[int] | Tensor) -> Any:
        """Return M(gx) for some elements, (elements, batch, …); `Parts` of several shapes."""
        alike = of_one_shape(inputs.pairs(), elements)
        if len(alike) > 1:
            return Parts(tuple(self._orbit(inputs, part) for part in alike), tuple(alike))
        count, batch = len(elements), inputs.moving()[0].shape[0]
        at_once = count if self.chunk_size is None else min(self.chunk_size, count)
        if (at_once > 1 or self.dedupe) and batch:
            self._check_rows(inputs, elements)
        if self.dedupe and all(map(readable, inputs.moving())):
            outputs = self._computed(self._copies(elements, inputs), None, count, batch)
        else:
            chunks = [elements[g : g + at_once] for g in range(0, count, at_once)]
            outputs = self._run([(partial(self._chunk, chunk), inputs) for chunk in chunks])
        return outputs.map(lambda _, y: y.reshape(count, batch, *y.shape[1:])).whole()

    def _computed(self, copies: Flat, rows: Tensor | None, count: int, batch: int) -> Flat:
        """Return the outputs of some rows of count·batch copies, None for all.

        With dedupe equal rows are computed once.
        """
        chunk = count if self.chunk_size is None else min(self.chunk_size, count)
        at_once, origin = chunk * batch, None
        places: Sequence[Any]
        if rows is not None:
            copies = _rows(copies, rows)
        if self.dedupe and all(map(readable, copies.moving())):
            first, origin = unique_rows(copies.moving())
            places = torch.split(first, max(at_once, 1))
        elif rows is None:  # copy after copy: while tracing the batch may be any number
            places = [slice(g * batch, (g + chunk) * batch) for g in range(0, count, chunk)]
        else:
            starts = range(0, max(len(rows), 1), max(at_once, 1))
            places = [slice(i, i + at_once) for i in starts]
        if len(places) == 1 and origin is None:
            return self._call(copies)
        outputs = self._run([(self._call, _rows(copies, each)) for each in places])
        return outputs if origin is None else _rows(outputs, origin)

    def _check_rows(self, inputs: Flat, elements: Sequence[int] | Tensor) -> None:
        """Refuse a module that mixes the rows of its batch, once, before the first output."""
        if self._tried or torch.compiler.is_compiling():
            return
        if not all(map(readable, inputs.moving())):
            return
        batched = [action is not None for action in inputs.actions]
        few = inputs._replace(values=tuple(first_rows(inputs.values, batched)))
        ends = int(elements[0]), int(elements[-1])
        parts = [self._copies([g], few).values for g in ends]
        seen: list[Flat] = []

        def run(module: nn.Module, *values: Any) -> list[Tensor]:
            outputs = self._outputs(module, inputs._replace(values=values))
            seen.append(outputs)
            return outputs.moving()

        found = mixes_rows(self.module, parts, batched, run)
        if found:
            raise ValueError(
                f"{type(self.module).__name__} mixes the rows of its batch: its output for one "
                f"copy changes by {found:.1e} (relative) when another copy passes with it; pass "
                "chunk_size=1 and dedupe=False, so that each copy passes by itself, and None as "
                "the action of an input that does not move and has no batch"
            )
        if seen:
            self._check_fit(seen[0], few.moving()[0].shape[0])
        self._tried = True  # only now: a module that was refused is refused again

    def _check_fit(self, outputs: Flat, rows: int) -> None:
        """Refuse an output whose shape its action does not take."""
        for action, y in outputs.pairs():
            if isinstance(y, Tensor) and y.shape[:1] == (rows,):
                try:
                    action(action.group.order - 1, y)
                except ValueError as error:
                    raise ValueError(
                        f"output_action ({type(action).__name__}) does not fit what "
                        f"{type(self.module).__name__} returns: {error}; an output that does not "
                        "move, as class logits, has Trivial(group)"
                    ) from None

    def _copies(self, elements: Sequence[int] | Tensor, inputs: Flat) -> Flat:
        """Return the inputs moved by some elements, along the batch: (elements·batch, …) each."""
        return inputs.map(lambda action, x: moved(action, elements, x))

    def _chunk(self, elements: Sequence[int] | Tensor, inputs: Flat) -> Flat:
        """Return M(gx) for some elements, (elements·batch, …).

        The copies are made here, so that of several chunks only one's are in memory: they may take
        more of it than what M keeps of them.
        """
        return self._call(self._copies(elements, inputs))

    def _run(self, calls: Sequence[tuple[Callable[[Flat], Flat], Flat]]) -> Flat:
        """Return the outputs of calls with their inputs, one after the other, along the batch.

        Of several calls, in training, what the backward pass needs is computed again there.
        """
        if len(calls) == 1:
            return calls[0][0](calls[0][1])
        inputs = [x for _, rows in calls for x in rows.values if isinstance(x, Tensor)]
        constant = self.frozen and not any(x.requires_grad for x in inputs)
        if not torch.is_grad_enabled() or constant:
            return joined([call(rows) for call, rows in calls])
        again = [partial(_with_values, call, rows) for call, rows in calls]
        pairs = zip(again, calls, strict=True)
        return joined([checkpointed(self.module, f, *rows.values) for f, (_, rows) in pairs])

    def _outputs(self, module: nn.Module, inputs: Flat) -> Flat:
        """Return the outputs of a module, each with its action."""
        args, kwargs = inputs.whole()
        name = f"the output of {type(module).__name__}"
        output = pick(module(*args, **kwargs), self.output, name)
        return flatten(self.output_action, output, name)

    def _call(self, inputs: Flat) -> Flat:
        outputs = self._outputs(self.module, inputs)
        rows = inputs.moving()[0].shape[0]
        who = type(self.module).__name__
        for name, action, y in zip(outputs.names, outputs.actions, outputs.values, strict=True):
            if action is None:
                continue
            place = name.partition("[")[2] and f" as [{name.partition('[')[2]}"
            if not isinstance(y, Tensor):
                raise TypeError(
                    f"{who} returned {type(y).__name__}{place}: expected one tensor; pass output= "
                    'the entry to take, as output="logits" for its .logits, or output_action= a '
                    "tree of actions as its outputs are nested"
                )
            if y.ndim == 0 or y.shape[0] != rows:
                raise ValueError(
                    f"{who} returned shape {tuple(y.shape)}{place} for {rows} examples: expected "
                    "the batch in front, (batch, …)"
                )
            if not (y.is_floating_point() or y.is_complex()):
                raise TypeError(
                    f"{who} returned {y.dtype}{place}: expected floating values, as logits; take "
                    "argmax after the combination"
                )
        return outputs


def _with_values(call: Callable[[Flat], Flat], inputs: Flat, *values: Any) -> Flat:
    return call(inputs._replace(values=values))


def _rows(values: Flat, rows: Any) -> Flat:
    """Return some rows of the values that have a batch, and the others as they are."""
    return values.map(lambda _, x: x[rows])
