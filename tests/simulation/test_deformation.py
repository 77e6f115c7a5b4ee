"""Dislocations move the ground as Okada (1985) printed, and histories as they should."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.simulation import World
from tasks.simulation.deformation import Deformation, Source, moment
from tasks.simulation.okada import Rectangle, dislocation, displacement

VERTICAL = Rectangle(
    x=0, y=0, top_km=2, strike_deg=0, dip_deg=89.9, length_km=20, width_km=10, slip_m=1, rake_deg=0
)


@pytest.mark.parametrize(
    ("slip", "printed"),
    [
        ((1, 0, 0), (-8.689e-3, -4.298e-3, -2.747e-3)),
        ((0, 1, 0), (-4.682e-3, -3.527e-2, -3.564e-2)),
        ((0, 0, 1), (-2.660e-4, 1.056e-2, 3.214e-3)),
    ],
)
def test_okada_1985_table_2_case_2(slip: tuple[int, ...], printed: tuple[float, ...]) -> None:
    x, y = np.array([2.0]), np.array([3.0])
    found = dislocation(x, y, 3.0, 2.0, 4.0, 70.0, np.array(slip), 0.25)[0]
    assert [f"{value:.3e}" for value in found] == [f"{value:.3e}" for value in printed]


def test_left_lateral_slip_moves_the_right_side_along_strike() -> None:
    east, west = displacement(np.array([3.0, -3.0]), np.zeros(2), VERTICAL, 0.25)
    assert east[1] > 0.1
    assert west[1] < -0.1


def test_reverse_slip_lifts_the_hanging_wall() -> None:
    thrust = replace(VERTICAL, dip_deg=30, rake_deg=90)
    # strike north, dip to the east: above the plane
    above = displacement(np.array([4.0]), np.zeros(1), thrust, 0.25)[0]
    assert above[2] > 0.1


def test_displacement_decays_with_the_square_of_distance() -> None:
    distance = np.array([100.0, 200.0, 400.0])
    size = np.linalg.norm(displacement(distance, distance / 2, VERTICAL, 0.25), axis=1)
    slopes = np.diff(np.log(size)) / np.diff(np.log(distance))
    assert slopes == pytest.approx([-2, -2], abs=0.1)


def test_slow_slip_history_grows_from_nothing_to_all(demo_world: World) -> None:
    slip = demo_world.slips[3]
    time = np.linspace(slip.start - 5, slip.end + 5, 500)
    share = slip.slip_share(time)
    assert share[0] == 0
    assert share[-1] == pytest.approx(1)
    assert np.all(np.diff(share) >= 0)
    assert np.abs(np.diff(share, 2)).max() < 1e-3


def test_afterslip_is_logarithmic() -> None:
    source = Source(VERTICAL, 10.0, None)
    time = np.array([9.99, 10.0, 15.0, 10.0 + 5 * (np.e**2 - 1)])
    assert source.history(time, 0.08, 5.0) == pytest.approx([0, 1, 1 + 0.08 * np.log(2), 1.16])


def test_slow_slip_moves_the_nearest_ground_by_millimetres_to_centimetres(demo_world: World) -> None:
    x, y = (np.array([getattr(s, k) for s in demo_world.slips]) for k in "xy")
    deformation = Deformation.at(demo_world, x, y)
    own = np.linalg.norm(deformation.static[np.arange(len(x)), np.arange(len(x))], axis=1)
    assert 2e-3 < np.median(own) < 0.1


def test_magnitude_6_has_the_moment_of_hanks_and_kanamori() -> None:
    assert moment(6.0) == pytest.approx(1.26e18, rel=0.01)
