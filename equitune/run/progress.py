"""Progress of a long loop: a bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from types import TracebackType
from typing import Self, SupportsFloat

from equitune.compat import extra

with extra("workflow"):
    from tqdm import tqdm

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0
STEPS_BETWEEN_NUMBERS = 10

_bars = True


def use_bars(wanted: bool) -> None:
    """Say whether a terminal gets bars; without them it gets the lines of a log."""
    global _bars
    _bars = wanted


class Progress:
    """Show how far a loop of known length has come.

    On a terminal it is a bar, unless `use_bars` says no; otherwise a line every ten seconds and
    one at the end.

    Args:
        label: what is being done, at the head of the bar and of every line.
        total: number of steps.
        start: steps already done, when a run resumes.
    """

    def __init__(self, label: str, total: int, start: int = 0) -> None:
        """Open the display; see the class."""
        self.label, self.total, self.start, self.step = label, total, start, start
        self.facts: dict[str, SupportsFloat] = {}
        self.began = self.shown = time.monotonic()
        self.bar: tqdm[None] | None = None
        if _bars and sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=start, desc=label, unit="step", leave=True)

    def note(self, **facts: SupportsFloat) -> None:
        """Set numbers to be shown, such as the loss; read when they are shown, not before.

        So a loss on a GPU is waited for now and then only.
        """
        self.facts.update(facts)

    def advance(self, step: int) -> None:
        """Say that `step` steps are done."""
        if self.bar is not None:
            if step % STEPS_BETWEEN_NUMBERS == 0 or step == self.total:
                numbers = {name: f"{float(value):.4g}" for name, value in self.facts.items()}
                self.bar.set_postfix(numbers, refresh=False)
            self.bar.update(step - self.step)
        self.step = step
        now = time.monotonic()
        if self.bar is None and now - self.shown >= SECONDS_BETWEEN_LINES and step < self.total:
            self.shown = now
            logger.info("%s", self.line())

    def line(self) -> str:
        """Describe the present state in one line."""
        share = self.step / max(self.total, 1)
        filled = round(20 * share)
        facts = "".join(f"  {name} {float(value):.4g}" for name, value in self.facts.items())
        seconds = time.monotonic() - self.began
        done = self.step - self.start
        rest = ""
        if done > 0 and self.step < self.total:
            rest = f"  {seconds / done * (self.total - self.step):.0f} s left"
        bar = "█" * filled + "░" * (20 - filled)
        return f"{self.label}  {bar} {share:4.0%}  step {self.step}/{self.total}{facts}{rest}"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the bar, or say in a last line that all is done."""
        if self.bar is not None:
            self.bar.close()
        elif error is None:
            logger.info("%s", self.line())
