"""The package's version, for itself to tell."""

__version__ = "0.1.0"
