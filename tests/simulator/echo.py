"""The reader of echoes, which is part of `packages/nvenc-sim`."""

from __future__ import annotations

from nvsim.echo import EchoUnit, checksum, parse

__all__ = ["EchoUnit", "checksum", "parse"]
