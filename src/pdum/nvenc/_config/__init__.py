"""The settings of an encoder, checked before any call of a driver."""
