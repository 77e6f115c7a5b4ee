"""Reasenberg-Jones against closed forms, against published forecasts, and against sequences drawn from its own law."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import poisson

from tasks.regions import AftershockRegime
from tasks.seismicity.generic_aftershocks import GENERIC, Generic, Spread, omori_integral
from tasks.seismicity.incompleteness import Incompleteness
from tasks.seismicity.reasenberg_jones import A_NODES, Belief, believe, observe


class Published(NamedTuple):
    """A forecast of the USGS Aftershock Forecasting System, version 1.06, as published (public domain).

    Its aftershocks enter only by their number: p and c are held fixed.
    """

    regime: AftershockRegime
    mainshock: float
    floor: float
    aftershocks: int
    observed_days: float
    issue: float
    windows: tuple[float, ...]
    generic: dict[float, tuple[float, ...]]
    bayesian: dict[float, tuple[float, ...]]
    upper: tuple[int, ...]


MILLISECONDS = 86400e3
ALEUTIANS = Published(
    "SZ-GENERIC", 6.5, 3.5, 3, 7.0, (1790262000000 - 1789654792210) / MILLISECONDS, (1.0, 7.0, 30.0, 365.0),
    {3.0: (0.7312, 0.949, 0.9871), 4.0: (0.2542, 0.6014, 0.7892), 5.0: (0.04008, 0.1647, 0.3102),
     6.0: (0.004357, 0.02244, 0.05339), 6.5: (0.001388, 0.007355, 0.0183), 7.0: (4.398e-4, 0.002354, 0.005959)},
    {3.0: (0.3162, 0.8257, 0.9725, 0.9989), 4.0: (0.03873, 0.1881, 0.4019, 0.7273),
     5.0: (0.003958, 0.02106, 0.0527, 0.1377), 6.0: (3.967e-4, 0.00213, 0.005429, 0.01493),
     6.5: (1.255e-4, 6.743e-4, 0.001721, 0.004751), 7.0: (3.968e-5, 2.133e-4, 5.445e-4, 0.001505)},
    (2, 6, 14, 34),
)  # fmt: skip
ALASKA = Published(
    "ANSR-ABSLSHC", 5.6, 2.0, 15, 42.0, (1789794000000 - 1786164634985) / MILLISECONDS, (1.0, 7.0, 30.0, 365.0),
    {3.0: (0.05629, 0.2002, 0.3678, 0.5966), 4.0: (0.007037, 0.03963, 0.1031), 5.0: (7.236e-4, 0.004641, 0.0153),
     5.6: (1.822e-4, 0.001184, 0.004041), 7.0: (7.259e-6, 4.736e-5, 1.636e-4)},
    {3.0: (0.004142, 0.0267, 0.08914, 0.3096), 4.0: (4.151e-4, 0.002705, 0.009319, 0.03676),
     5.0: (4.151e-5, 2.709e-4, 9.36e-4, 0.003742), 5.6: (1.043e-5, 6.805e-5, 2.352e-4, 9.415e-4)},
    (0, 1, 1, 2),
)  # fmt: skip


@pytest.mark.parametrize("case", [ALEUTIANS, ALASKA], ids=["M6.5 Aleutians", "M5.6 Alaska"])
def test_published_probabilities_are_met(case):
    generic = GENERIC[case.regime]
    late = np.linspace(0.5, 0.9, case.aftershocks) * case.observed_days
    observed = observe(
        late, np.full(case.aftershocks, case.floor), case.mainshock, case.observed_days, case.floor, generic
    )
    assert observed.days.size == case.aftershocks
    for belief, published in (
        (believe(generic, case.mainshock), case.generic),
        (believe(generic, case.mainshock, observed), case.bayesian),
    ):
        found = belief.numbers(case.issue, case.windows, list(published))
        for magnitude, probabilities in published.items():
            own = found["probability"].sel(magnitude=magnitude).values[: len(probabilities)]
            np.testing.assert_allclose(own, probabilities, rtol=4e-4)
    upper = found["high"].sel(magnitude=3.0).values
    np.testing.assert_array_equal(upper, case.upper)


def test_the_generic_law_on_the_nodes_has_the_published_moments():
    mean, deviation = believe(GENERIC["SZ-GENERIC"], 6.5).mean_a()
    assert mean == pytest.approx(-2.470234063475758, abs=1e-12)
    assert deviation == pytest.approx(0.5832212975070257, abs=1e-12)


@given(
    st.floats(0.3, 2.0), st.floats(1e-4, 1.0), st.floats(0.0, 100.0), st.floats(1e-3, 1000.0)
)  # fmt: skip
def test_the_omori_integral_equals_quadrature(p, c, start, length):
    found = omori_integral(np.array([p]), np.array([c]), start, start + length)[0]
    low, high = math.log(start + c), math.log(start + length + c)
    exact = quad(lambda u: math.exp((1 - p) * u), low, high, epsabs=0, epsrel=1e-10)[0]
    assert found == pytest.approx(exact, rel=1e-7)


def test_the_omori_integral_is_a_logarithm_at_p_1():
    found = omori_integral(np.array([1.0, 1.0 + 1e-9]), np.array([0.01]), 1.0, 10.0)
    np.testing.assert_allclose(found, math.log(10.01 / 1.01), rtol=1e-8)


def test_what_is_hidden_equals_adaptive_quadrature():
    generic, law, floor, mainshock = GENERIC["CAL-SCSN"], Incompleteness(), 2.0, 7.0
    late = np.array([0.4]), np.array([5.5])
    found = observe(*late, mainshock, 30.0, floor, generic).hidden[0, 0]

    def lost(u: float) -> float:
        t = math.exp(u)
        complete = max(
            min(law.f * m - law.g - law.h * math.log10(t - at), m)
            for at, m in ((0.0, mainshock), (0.4, 5.5))
            if t > at
        )
        return t * (10.0 ** (-floor) - 10.0 ** (-max(complete, floor))) * (t + generic.c) ** -generic.p

    breaks = [
        math.log(1e-12),
        math.log(0.4),
        math.log(0.4 + 10 ** (-1 / 0.75)),
        math.log(10 ** (0.5 / 0.75)),
        1.6,
    ]
    exact = sum(quad(lost, a, b, epsrel=1e-9, limit=500)[0] for a, b in pairwise(breaks))
    assert found == pytest.approx(exact, rel=1e-5)


def draw(generic: Generic, a: float, mainshock: float, floor: float, end: float, rng: np.random.Generator):
    """Times and magnitudes of a sequence in (0, end)."""
    p, c = generic.p, generic.c
    total = 10.0 ** (a + generic.b * (mainshock - floor)) * omori_integral(
        np.array([p]), np.array([c]), 0, end
    )
    n = rng.poisson(total[0])
    share = rng.random(n)
    low, high = c ** (1 - p), (end + c) ** (1 - p)
    days = np.sort((low + share * (high - low)) ** (1 / (1 - p)) - c)
    return days, floor + rng.exponential(1 / (generic.b * math.log(10)), n)


def conceal(days, magnitude, mainshock):
    law = Incompleteness()
    return magnitude >= law.f * mainshock - law.g - law.h * np.log10(days)


def test_productivity_is_recovered_though_early_aftershocks_are_missing():
    generic, rng, mainshock, floor = GENERIC["CAL-SCSN"], np.random.default_rng(5), 6.5, 2.5
    errors, naive = [], []
    for _ in range(60):
        a = generic.a + generic.sigma(mainshock) * rng.standard_normal()
        days, magnitude = draw(generic, a, mainshock, floor, 1.0, rng)
        seen = conceal(days, magnitude, mainshock)
        for law, out in ((Incompleteness(), errors), (Incompleteness(1.0, 20.0, 0.75), naive)):
            observed = observe(days[seen], magnitude[seen], mainshock, 1.0, floor, generic, law=law)
            mean, deviation = believe(generic, mainshock, observed).mean_a()
            out.append((mean - a) / deviation)
    assert abs(np.mean(errors)) < 3 / math.sqrt(60)
    assert 0.7 < np.std(errors) < 1.3
    assert np.mean(naive) < -1


def test_decay_is_recovered_where_it_may_differ():
    base, rng = GENERIC["CAL-SCSN"], np.random.default_rng(6)
    spread = Spread(p=0.1, log_c=0.3)
    steep = base._replace(p=base.p + 0.15)
    days, magnitude = draw(steep, -2.0, 7.0, 3.0, 200.0, rng)
    seen = conceal(days, magnitude, 7.0)
    belief = believe(base, 7.0, observe(days[seen], magnitude[seen], 7.0, 200.0, 3.0, base, spread), spread)
    share = belief.weight.sum(axis=(0, 2))
    mean = float(share @ belief.p)
    deviation = math.sqrt(float(share @ (belief.p - mean) ** 2))
    assert deviation < 0.05
    assert abs(mean - steep.p) < 3 * deviation


def test_predictive_ranges_hold_what_comes():
    generic, rng, inside = GENERIC["ANSR-SHALCON"], np.random.default_rng(7), []
    for _ in range(150):
        a = generic.a + generic.sigma(6.0) * rng.standard_normal()
        days, magnitude = draw(generic, a, 6.0, 3.0, 37.0, rng)
        early = days < 7.0
        observed = observe(
            days[early], magnitude[early], 6.0, 7.0, 3.0, generic, law=Incompleteness(1, 20, 1)
        )
        found = believe(generic, 6.0, observed).numbers(7.0, [30.0], [3.0], coverage=0.8)
        came = int((~early).sum())
        inside.append(float(found["low"][0, 0]) <= came <= float(found["high"][0, 0]))
    # Numbers are whole, so that a range of 80 % holds a little more.
    assert 0.78 < np.mean(inside) < 0.97


def test_a_known_rate_gives_poisson_numbers():
    generic = GENERIC["CAL-NCSS"]
    weight = np.zeros((A_NODES.size, 1, 1))
    weight[200] = 1.0
    belief = Belief(generic, 6.0, np.array([generic.p]), np.array([generic.c]), weight)
    rate = float(belief.expected(1.0, 8.0, 3.0))
    found = belief.numbers(1.0, [7.0], [3.0])
    assert float(found["expected"][0, 0]) == pytest.approx(rate)
    assert float(found["probability"][0, 0]) == pytest.approx(-math.expm1(-rate))
    for name, q in (("low", 0.025), ("median", 0.5), ("high", 0.975)):
        assert int(found[name][0, 0]) == int(poisson.ppf(q, rate))


def test_spread_falls_with_magnitude_up_to_which_sequences_are_seen_whole():
    generic = GENERIC["SZ-GENERIC"]
    assert generic.sigma(5.0) == generic.sigma(6.0) > generic.sigma(7.0)
    assert generic.sigma(6.5) == pytest.approx(0.5855274555295171, abs=1e-12)
