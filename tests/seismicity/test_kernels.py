import numpy as np
import pytest

from tasks.seismicity.geometry import Plane, cell_areas
from tasks.seismicity.kernels import cell_masses, omori_exponentials, rectangle_mass


def brute_force(west, east, south, north, scale, q1, n=2000):
    # Midpoints in coordinates stretched about the event, where the kernel is steep.
    def stretched(low, high):
        width = np.sqrt(scale)
        edges = width * np.sinh(np.linspace(np.arcsinh(low / width), np.arcsinh(high / width), n + 1))
        return 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)

    x, dx = stretched(west, east)
    y, dy = stretched(south, north)
    density = q1 / np.pi * scale**q1 * (x[:, None] ** 2 + y[None] ** 2 + scale) ** (-1 - q1)
    return float(dx @ density @ dy)


@pytest.mark.parametrize(
    "edges",
    [(-3.0, 8.0, -2.0, 5.0), (1e-4, 9.0, -4.0, 5.0), (12.0, 22.0, 30.0, 41.0), (-90.0, 80.0, -100.0, 60.0)],
)
@pytest.mark.parametrize("scale", [0.1, 4.0, 100.0])
@pytest.mark.parametrize("q1", [0.2, 0.7, 1.5])
def test_the_mass_in_a_rectangle_equals_brute_force(edges, scale, q1):
    expected = brute_force(*edges, scale, q1)
    assert rectangle_mass(*edges, scale, q1)[0] == pytest.approx(expected, rel=2e-4, abs=1e-7)


def test_the_derivatives_of_the_mass_equal_differences():
    edges, scale, q1, step = (-3.0, 8.0, -0.01, 5.0), 2.0, 0.6, 1e-5
    _, by_scale, by_q1 = rectangle_mass(*edges, scale, q1)
    up, down = (rectangle_mass(*edges, scale * np.exp(s), q1)[0] for s in (step, -step))
    assert by_scale == pytest.approx((up - down) / (2 * step), rel=1e-6)
    up, down = (rectangle_mass(*edges, scale, q1 + s)[0] for s in (step, -step))
    assert by_q1 == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_cells_add_up_to_the_box():
    edges_x, edges_y = np.linspace(-60, 60, 13), np.linspace(-40, 40, 9)
    x, y, scale = np.array([3.2, -59.0]), np.array([-7.7, 39.9]), np.array([0.5, 9.0])
    mass = cell_masses(x, y, scale, 0.6, edges_x, edges_y).sum(axis=1)
    for i in range(2):
        box = rectangle_mass(-60 - x[i], 60 - x[i], -40 - y[i], 40 - y[i], scale[i], 0.6)[0]
        assert mass[i] == pytest.approx(box, rel=1e-4)


@pytest.mark.parametrize(("c", "p"), [(1e-4, 1.02), (0.01, 1.2), (0.5, 2.0)])
def test_exponentials_reproduce_the_omori_law(c, p):
    t = np.concatenate([[0.0], np.geomspace(1e-5, 20000, 300)])
    rates, weights = omori_exponentials(c, p, 20000)
    law = (p - 1) * c ** (p - 1) * (t + c) ** -p
    assert np.max(np.abs(np.exp(-np.outer(t, rates)) @ weights / law - 1)) < 2e-4


def test_cell_areas_add_up_to_the_sphere():
    latitudes, longitudes = np.arange(-89.5, 90), np.arange(-179.5, 180)
    assert cell_areas(latitudes, longitudes, 1.0).sum() == pytest.approx(4 * np.pi * 6371.0088**2)


def test_projected_distances_differ_from_the_sphere_by_one_percent_at_most(region):
    plane = Plane.of(region)
    x, y = plane.project(np.array([35.1, 35.9]), np.array([-117.9, -117.1]))
    a, b = np.radians([35.1, 35.9])
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(0.8) / 2) ** 2
    great_circle = 2 * 6371.0088 * np.arcsin(np.sqrt(half))
    assert np.hypot(np.diff(x), np.diff(y))[0] == pytest.approx(great_circle, rel=0.01)
