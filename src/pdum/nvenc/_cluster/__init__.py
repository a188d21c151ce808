"""Engines on other machines, as lanes of the same pool. Only ``dask_*`` knows what connects the machines."""
