"""The futures of a sequence by Reasenberg and Jones, with whose model public forecasts have long been issued."""

from collections.abc import Sequence as Listed
from itertools import pairwise

import numpy as np

from tasks.regions import Region
from tasks.seismicity.aftershocks.futures import Draws
from tasks.seismicity.aftershocks.sequence import Sequence
from tasks.seismicity.generic_aftershocks import GENERIC, omori_integral
from tasks.seismicity.geometry import Plane
from tasks.seismicity.reasenberg_jones import A_NODES, believe, observe
from tasks.seismicity.rj_forecast import MAINSHOCK_WEIGHT, SPREAD, kernel_mass


def draw_jones(
    region: Region,
    sequence: Sequence,
    catalogs: int,
    seed: int,
    windows: Listed[float],
    magnitudes: Listed[float],
) -> Draws:
    """Draw numbers of aftershocks of the largest event so far, from what is believed of its a, p and c.

    The generic law of the regime, updated by the aftershocks in the zone since the largest event, as far as the
    catalog can be expected to hold them. Magnitudes follow Gutenberg-Richter with the generic b, without an upper end.
    There is no background and no aftershock of an aftershock; arguments as for `draw_counts`.
    """
    generic = GENERIC[region.aftershock_regime]
    events = sequence.events
    members = np.flatnonzero(sequence.members)
    main = int(members[np.argmax(events.magnitude[members])])
    start, size = float(events.days[main]), float(events.magnitude[main])
    later = members[events.days[members] > start]
    age = sequence.issue - start
    seen = observe(
        events.days[later] - start, events.magnitude[later], size, age,
        region.magnitude_completeness, generic, SPREAD,
    )  # fmt: skip
    belief = believe(generic, size, seen, SPREAD)
    rng = np.random.default_rng(seed)
    nodes = rng.choice(belief.weight.size, catalogs, p=belief.weight.ravel())
    a, p, c = np.unravel_index(nodes, belief.weight.shape)
    edges = age + np.concatenate([[0.0], windows])
    # Intervals between windows and bins between magnitudes are disjoint, hence independent under each node.
    born = [omori_integral(belief.p[p], belief.c[c], low, high) for low, high in pairwise(edges)]
    above = np.append(10.0 ** (generic.b * (size - np.asarray(magnitudes))), 0.0)
    rate = (10.0 ** A_NODES[a] * np.array(born)).T
    counts = rng.poisson(rate[:, :, None] * -np.diff(above))
    counts = counts.cumsum(axis=1)[..., ::-1].cumsum(axis=2)[..., ::-1]
    plane = Plane.of(region)
    share = MAINSHOCK_WEIGHT * kernel_mass(events, np.array([main]), plane)
    share = (share + kernel_mass(events, later, plane)) / (MAINSHOCK_WEIGHT + later.size)
    smallest = 10.0 ** (generic.b * (size - region.magnitude_completeness))
    expected = smallest * rate.mean(axis=0).cumsum()
    return Draws(counts.astype(np.int32), expected[:, None, None] * share)
