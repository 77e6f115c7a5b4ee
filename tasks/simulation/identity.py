"""Which world a region, a law and a seed make: the name under which its archive and stores are kept."""

from pathlib import Path

from tasks.regions import Region, load_region
from tasks.simulation.config import load_simulation
from tasks.workspace import code_digest, digest


def world_key(region: Region, conf: Path, seed: int) -> str:
    """Return the key of the world: it changes with region, law, seed and the simulator's code.

    Raises
    ------
    ValueError
        If the region is not simulated.
    """
    if region.simulation is None:
        raise ValueError(f"region {region.name!r} is not simulated: its archive is recorded")
    return digest(
        {
            "region": region.model_dump(
                mode="json", exclude={"world", "title", "split", "sources", "etas_start"}
            ),
            "law": load_simulation(region.simulation, conf).model_dump(mode="json"),
            "seed": seed,
            "code": code_digest("tasks/simulation"),
        }
    )


def region_of_world(name: str, conf: Path, seed: int) -> Region:
    """Return the region `name`; a simulated one with the key of its world, so that seeds never share a store.

    Raises
    ------
    UnknownRegion, ValueError
        See `load_region`.
    """
    region = load_region(name, conf)
    if region.simulation is None:
        return region
    return region.model_copy(update={"world": world_key(region, conf, seed)})
