"""The demo as a newcomer runs it: `quakecube run simulated` in an empty state folder; targets 300 s and 6 GiB."""

from flows.benchmarks import Measured, measure_pipeline
from flows.settings import Settings


def measure(settings: Settings) -> Measured:
    """Run the pipeline on the simulated region, seed 1."""
    return measure_pipeline("simulated", settings, seed=1, target_s=300.0)
