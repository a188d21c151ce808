"""Settings: what an encoder can be told, checked before a driver is asked."""
