"""How the wheels are made: see docs/wheels.md. Only build-wheel.sh starts this; it is no part of the product."""
