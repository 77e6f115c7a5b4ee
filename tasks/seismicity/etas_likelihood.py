"""The log-likelihood of the space-time ETAS model (`etas_law`) with its gradient."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.seismicity.detection import Unseen
from tasks.seismicity.etas_law import Triggering
from tasks.seismicity.kernels import rectangle_mass
from tasks.seismicity.omori import omori_integrals
from tasks.seismicity.pair_plan import FarField, PairPlan, plan_pairs
from tasks.seismicity.pair_sums import in_threads, target_sums

Floats = NDArray[np.float64]


class Problem(NamedTuple):
    """One likelihood: the parents up to the end of the window, and which of them are targets.

    Attributes
    ----------
    t : array (event,), days, ascending
    x, y : array (event,), km
    m : array (event,)
        Magnitude above m0.
    target : bool array (event,)
        Events of the box inside the window.
    background : array (event,), km-2
        u at the event, its own kernel left out; used at targets only.
    reach2 : array (event,), km2
        Squared distance beyond which a parent's pairs are dropped; infinite for none.
    start, end : float, days
        The window.
    box : array (4,), km, or None
        West, east, south, north of the targets' box on the plane. None: offspring are counted wherever they fall.
    beta : float
        b ln 10.
    m_range : float
        Upper cut-off of magnitude above m0.
    z : array (event,), km, or None
        Third coordinate of places on a sphere; None on a plane.
    curvature : float, km-2
        1/(2 R)^2 of the sphere; 0 on a plane.
    stands_for : array (event,), or None
        How many parents of its productivity each event stands for (see `detection`); None for one each.
    unseen : Unseen, or None
        Offspring that is not seen, which the expected number of targets leaves out.
    """

    t: Floats
    x: Floats
    y: Floats
    m: Floats
    target: NDArray[np.bool_]
    background: Floats
    reach2: Floats
    start: float
    end: float
    box: Floats | None
    beta: float
    m_range: float
    z: Floats | None = None
    curvature: float = 0.0
    stands_for: Floats | None = None
    unseen: Unseen | None = None

    @property
    def pairs(self) -> PairPlan:
        """The plan of all pairs within reach, each by itself."""
        plan = plan_pairs(self._events, self.reach2, self.target)
        return plan if self.stands_for is None else plan.weighted(self.stands_for)

    def productivity(self, law: Triggering) -> Floats:
        """Return the direct offspring of each event (event,), with that of those it stands for."""
        own = law.productivity(self.m)
        return own if self.stands_for is None else own * self.stands_for

    def pairs_in_bundles(self, theta: Floats, tolerance: float | None = None) -> PairPlan:
        """Return a plan whose distant parents are in bundles, for a likelihood near theta (9,).

        Parameters
        ----------
        theta : array (9,)
            Tells how much distant parents matter; the plan stays good while the parameters stay similar.
        tolerance : float, optional
            Of a bundle's error, relative to the background rate of the target. By default 1e-5, less for more than
            10,000 events, whose bundles are more: the log-likelihood then differs from that of all pairs by less than
            1e-6 per event (tested).

        Raises
        ------
        ValueError
            If events stand for others: a bundle does not know.
        """
        if self.stands_for is not None:
            raise ValueError("pairs_in_bundles: expected events that stand for themselves alone")
        if tolerance is None:
            tolerance = min(1e-5, 0.1 / self.t.size)
        law = Triggering.of(theta, self.beta, self.m_range)
        far = FarField(
            law.productivity(self.m), law.mu * self.background[self.target],
            law.c, 1.0 + law.omega, law.d, law.gamma, 1.0 + law.rho, tolerance,
        )  # fmt: skip
        return plan_pairs(self._events, self.reach2, self.target, far)

    @property
    def places(self) -> tuple[Floats, Floats, Floats]:
        """Coordinates (event,) x, y, z, km."""
        return self.x, self.y, np.zeros(self.t.size) if self.z is None else self.z

    @property
    def _events(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        return self.t, *self.places, self.m


@njit(cache=True, nogil=True, fastmath=True)
def _box_masses(
    first: int, last: int, x: Floats, y: Floats, box: Floats, scale: Floats, rho: float, out: Floats
) -> None:
    for j in range(first, last):
        out[j, 0], out[j, 1], out[j, 2] = rectangle_mass(
            box[0] - x[j], box[1] - x[j], box[2] - y[j], box[3] - y[j], scale[j], rho
        )


def box_masses(problem: Problem, scale: Floats, rho: float) -> Floats:
    """Return the share of each event's offspring that falls in the box (event, 3), with slopes by ln D and by rho."""
    out = np.zeros((problem.t.size, 3))
    if problem.box is None:
        out[:, 0] = 1.0
        return out
    box = problem.box
    in_threads(
        lambda first, last: _box_masses(first, last, problem.x, problem.y, box, scale, rho, out),
        problem.t.size,
    )
    return out


def passed_shares(law: Triggering, problem: Problem) -> tuple[Floats, Floats]:
    """Return the share of each event's offspring that falls in the window and is seen (event,), and its slopes.

    Slopes (event, 3) by ln c, omega and ln tau.
    """
    until = omori_integrals(problem.end - problem.t, law.c, law.omega, law.taper)
    since = omori_integrals(np.maximum(problem.start - problem.t, 0.0), law.c, law.omega, law.taper)
    passed = until - since
    if problem.unseen is not None:
        passed -= _unseen_integrals(law, problem.unseen, problem.t.size)
    share = passed[:, 0] / law.total[0]
    return share, (passed[:, 1:] - share[:, None] * law.total[1:]) / law.total[0]


def _unseen_integrals(law: Triggering, unseen: Unseen, n: int) -> Floats:
    """Return the integral of the decay over unseen moments (event, 4): itself, and by ln c, omega and ln tau."""
    age = unseen.age + law.c
    decay = unseen.weight * np.exp(-(1.0 + law.omega) * np.log(age) - law.taper * unseen.age)
    slopes = (
        decay,
        -decay * (1.0 + law.omega) * law.c / age,
        -decay * np.log(age),
        decay * law.taper * unseen.age,
    )
    return np.stack([np.bincount(unseen.parent, column, n) for column in slopes], axis=1)


def expected_offspring(law: Triggering, problem: Problem) -> tuple[float, Floats]:
    """Return the expected number of triggered targets, and its gradient by theta (9,)."""
    masses = box_masses(problem, law.scale(problem.m), law.rho)
    share, by_time = passed_shares(law, problem)
    kappa = problem.productivity(law)
    count = kappa * share * masses[:, 0]
    total = float(count.sum())
    by_c, by_omega, by_tau = (kappa * masses[:, 0]) @ by_time
    by_scale = kappa * share * masses[:, 1]
    slopes = np.array(
        [
            0.0,
            total,
            float(problem.m @ count) - law.mean_m * total,
            by_c,
            by_omega,
            by_scale.sum(),
            float(problem.m @ by_scale),
            law.rho * float((kappa * share) @ masses[:, 2]),
            by_tau,
        ]
    )
    return total, slopes


def pair_slopes(law: Triggering, sums: Floats) -> Floats:
    """Return the gradient by theta (9,) of the sum of ln w over pairs with weights, from the weighted `SUMS` (8,)."""
    w, by_m, by_age, by_log_age, by_since, inner, inner_m, by_log_reach = sums
    p, q = 1.0 + law.omega, 1.0 + law.rho
    log_scale = math.log(law.d) * w + law.gamma * by_m
    by_total = w * law.total[1:] / law.total[0]
    return np.array(
        [
            0.0,
            w,
            by_m - law.mean_m * w,
            -law.c * p * by_age - by_total[0],
            -by_log_age - by_total[1],
            law.rho * w - q * inner,
            law.rho * by_m - q * inner_m,
            w + law.rho * (log_scale - by_log_reach),
            law.taper * by_since - by_total[2],
        ]
    )


def log_likelihood(
    theta: Floats, problem: Problem, pairs: PairPlan | None = None
) -> tuple[float, Floats, Floats]:
    """Return the log-likelihood, its gradient, and the rate at each target.

    Parameters
    ----------
    theta : array (9,)
        In the order of `NAMES`: natural logarithms of mu (1/day in the box), branching ratio n, c (days),
        d (km2), rho, tau (days; infinite without taper), and alpha, omega, gamma as they are.
    problem : Problem
        Events, window and background.
    pairs : PairPlan, optional
        The plan of its pairs; made anew if not given.

    Returns
    -------
    float, array (9,), array (target,)
        Rate in 1/(day km2). Pairs beyond `reach2` are left out of the rate, not of the integral; simultaneous
        events do not trigger each other.
    """
    plan = problem.pairs if pairs is None else pairs
    law = Triggering.of(theta, problem.beta, problem.m_range)
    base = law.mu * problem.background[problem.target][plan.target_row]
    in_order, sums = target_sums(plan, law.pair_law(plan.sources.m, problem.curvature), base)
    expected, slopes = expected_offspring(law, problem)
    background_count = law.mu * (problem.end - problem.start)
    gradient = pair_slopes(law, sums) - slopes
    gradient[0] = float((base / in_order).sum()) - background_count
    rate = np.empty(in_order.size)
    rate[plan.target_row] = in_order
    return float(np.log(rate).sum() - background_count - expected), gradient, rate
