"""The recorded region as a newcomer runs it, in an empty state folder; target 900 s. Needs QUAKECUBE_ARCHIVE."""

from flows.benchmarks import Measured, measure_pipeline
from flows.settings import Settings


def measure(settings: Settings) -> Measured:
    """Run the pipeline on Ridgecrest, seed 1."""
    return measure_pipeline("ridgecrest", settings, seed=1, target_s=900.0)
