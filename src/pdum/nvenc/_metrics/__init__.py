"""Figures of runs for Prometheus, made of their events."""
