"""Cubes: the observation store, and one aligned (time, lat, lon) frame per region made from it."""
