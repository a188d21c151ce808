"""Adapters for other packages: ``integrations.imageio.NvencPlugin``, ``integrations.gymnasium.RecordVideo``.

Each module needs the package that it is for, and is imported by its name.
"""
