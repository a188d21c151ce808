"""Files at places that fsspec reaches: object stores, servers, other machines."""
