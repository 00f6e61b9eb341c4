"""Points whose exact way from noise to data is known: across and up are independent of each other.

On a line the probability-flow ODE keeps quantiles, so its solution is a formula (see
beyond/exact_flow). Where p(x, y) = p(x) p(y), the ODE in the plane is two of these, one for each
coordinate. For other clouds in the plane no formula is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidiff.beyond import flow_map
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import Schedule

STD = 0.2


class Lines(NamedTuple):
    """A mixture on each axis. All components have one standard deviation."""

    across: GaussianMixture
    up: GaussianMixture

    @property
    def plane(self) -> GaussianMixture:
        """The mixture of all pairs, p(x) p(y)."""
        weights = np.outer(self.across.weights, self.up.weights).reshape(-1)
        means = [[x[0], y[0]] for x in self.across.means for y in self.up.means]
        return GaussianMixture(weights, means, STD)

    def exact_map(self, x_T: Any, t: int, schedule: Schedule) -> np.ndarray:
        """Where the ODE brings each x_T at time t.    (B, 2) -> (B, 2) float64"""
        x_T = np.asarray(x_T, np.float64)
        both = [
            flow_map(x_T[:, [axis]], schedule.T, t, line, schedule)
            for axis, line in enumerate(self)
        ]
        return np.concatenate(both, axis=1)


FOUR = Lines(
    GaussianMixture([0.3, 0.7], [[-1.1], [0.9]], STD),
    GaussianMixture([0.6, 0.4], [[-0.9], [1.1]], STD),
)
"""Four clusters of 18, 12, 42 and 28 %."""


def rms_distance(x: Any, exact: np.ndarray) -> float:
    """The root mean square of the distance between a point and where it should be."""
    return float(np.sqrt(((np.asarray(x, np.float64) - exact) ** 2).sum(axis=1).mean()))
