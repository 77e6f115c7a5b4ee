"""The joint simulator: one world per seed that knows its truth and writes what providers would."""

from tasks.simulation.archive import write_archive
from tasks.simulation.config import SimulationConfig, load_simulation
from tasks.simulation.identity import region_of_world, world_key
from tasks.simulation.world import World, simulate_world

__all__ = [
    "SimulationConfig",
    "World",
    "load_simulation",
    "region_of_world",
    "simulate_world",
    "world_key",
    "write_archive",
]
