"""When a training warms up, decays, evaluates the held-out pixels, and ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_WARM_UP = 0.05
"""Share of a run in which the learning rate rises to its peak."""

_WARM_UP_STEPS = 20
"""Steps of the same in an open-ended run, if they come first: two minutes on a CPU are
some hundred steps, or a few hundred."""

_STEADY_RATE = 0.5
"""Learning rate of an open-ended run between warm-up and decay, in peaks: the mean of
half a cosine. Hägele et al. 2024, "Scaling laws and compute-optimal training beyond
fixed training durations", section 3: a constant rate is best at half of a cosine's."""

_DECAY = 1 / 6
"""Share of an open-ended run, at its end, in which the learning rate falls to 0 (as
there: a tenth to a fifth is enough to gain what a cosine does)."""

_EVALUATIONS = 20
"""Evaluations of a run: each is a chance to find the best weights."""

_OPEN_EVALUATIONS = 100
"""The same of an open-ended run, most of which end long before their limit."""

_FEWEST_STEPS = 10
"""Steps between two evaluations, where the steps end the run."""

_MOST_TIME_EVALUATING = 0.06
"""Share of the time that evaluations may take, where the clock ends the run: with what
crops and losses cost a step, a third of what a training may take beyond its bare
steps."""

_FINISHING_S = 1.0
"""Seconds that the step that is under way and the measuring of the halo may take."""

_MOST_TIME_FINISHING = 0.05
"""Share of the time that is kept for these at most."""

_STARTING = 0.02
"""So much of the time may pass before the first step of a run that ends by steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Limits of a run, by steps, by time or by both: whichever is reached first.

    Attributes
    ----------
    steps
        Largest number of steps; 0 for no limit.
    seconds
        Longest time; 0 for no limit.
    peak
        Highest learning rate: ``learning_rate`` of the settings.
    ending
        Seconds kept free for the last evaluation and what follows it.
    open_ended
        Whether the run may end before its limits, when it no longer gains: then the
        learning rate stays constant until it does.
    """

    steps: int
    seconds: float
    peak: float
    ending: float = 0.0
    open_ended: bool = False

    def sparing(self, cost: float) -> Schedule:
        """Keep the seconds of an evaluation and of the end free; at most a quarter."""
        rest = min(_FINISHING_S, _MOST_TIME_FINISHING * self.seconds)
        return replace(self, ending=min(cost + rest, self.seconds / 4))

    def progress(self, step: int, elapsed: float) -> float:
        """Return how much of the run is over, in [0, 1].

        A run that ends by its steps does not depend on the clock, and is the same
        each time.
        """
        over = self._by_time(elapsed)
        if over < 1 and not self._ends_by_clock(step, elapsed):
            over = 0.0
        return min(1.0, max(self._by_steps(step), over))

    def ending_soon(self, step: int) -> Schedule:
        """Return the schedule of the decay, which begins after a step and ends a run.

        Parameters
        ----------
        step
            The last one before the decay, from 1.
        """
        return replace(self, steps=math.ceil(step / (1 - _DECAY)))

    def learning_rate(self, step: int, progress: float) -> float:
        """Return the learning rate: a short linear warm-up, then half a cosine.

        Loshchilov and Hutter 2017, "SGDR", section 3, without restarts. Where the end
        is open it is constant after the warm-up and falls linearly at the end.

        Parameters
        ----------
        step
            Steps that were taken.
        progress
            As of ``progress``.
        """
        if self.open_ended:
            warm = min(1.0, max((step + 1) / _WARM_UP_STEPS, progress / _WARM_UP))
            decay = min(1.0, (1 - progress) / _DECAY)
            return self.peak * _STEADY_RATE * warm * decay
        warm = min(1.0, 0.1 + 0.9 * progress / _WARM_UP)
        return self.peak * warm * 0.5 * (1 + math.cos(math.pi * progress))

    def next_evaluation(self, step: int, elapsed: float, cost: float) -> float:
        """Return the progress at which to evaluate the held-out pixels again.

        Parameters
        ----------
        step, elapsed
            Where the run is, in steps and in seconds.
        cost
            Seconds that an evaluation takes. Only counts where the clock ends the run:
            a run that ends by steps evaluates after the same steps on any machine.
        """
        share = 1 / (_OPEN_EVALUATIONS if self.open_ended else _EVALUATIONS)
        if self.steps:
            share = max(share, _FEWEST_STEPS / self.steps)
        if self._ends_by_clock(step, elapsed):
            share = max(share, cost / _MOST_TIME_EVALUATING / self.seconds)
        return self.progress(step, elapsed) + share

    def seconds_left(
        self, step: int, elapsed: float, step_seconds: float
    ) -> float | None:
        """Estimate the seconds to the end; None while the end is open.

        Parameters
        ----------
        step, elapsed
            Where the run is, in steps and in seconds.
        step_seconds
            Mean seconds of a step so far, the evaluations in between included.
        """
        if self.open_ended and self.progress(step, elapsed) < 1 - _DECAY:
            return None
        left = [self.seconds - elapsed] if self.seconds else []
        if self.steps:
            left.append((self.steps - step) * step_seconds)
        return max(0.0, min(left))

    def _ends_by_clock(self, step: int, elapsed: float) -> bool:
        ahead = self._by_time(elapsed) - self._by_steps(step)
        return ahead > (_STARTING if self.steps else 0)

    def _by_steps(self, step: int) -> float:
        return step / self.steps if self.steps else 0.0

    def _by_time(self, elapsed: float) -> float:
        return elapsed / (self.seconds - self.ending) if self.seconds else 0.0
