"""Waveforms: what can be said about a window of ground velocity in a few numbers."""
