"""The consistency and comparison tests beside pyCSEP itself, on its bundled forecasts.

The environment variable QUAKECUBE_PEERS names a virtual environment of its own with `pycsep==0.8.0`; .ci/run makes it.
The full comparison, with 10,000 simulations and its times, is `quakecube bench pycsep`.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def beside() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "pycsep.py"
    spec = importlib.util.spec_from_file_location("quakecube_benchmark_pycsep", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.peer_python() is None:
        pytest.skip("QUAKECUBE_PEERS names no environment with pycsep")
    return module


def test_every_test_equals_that_of_pycsep_on_the_same_random_numbers(beside: ModuleType) -> None:
    figures = beside.compare(simulations=60, catalogs=40).figures
    found = {name: value for name, value in figures.items() if name.startswith("difference_")}
    gridded = {f"difference_{test}" for test in ("N", "L", "CL", "S", "M", "T", "W")}
    by_catalogs = {f"difference_catalog_{test}" for test in ("N", "S", "M", "PL")}
    assert set(found) == gridded | by_catalogs
    assert {name: value for name, value in found.items() if not value < 1e-6} == {}
