"""The reader of traces, which is part of `packages/nvenc-sim`."""

from __future__ import annotations

from nvsim.trace import Call, read_calls, read_violations

__all__ = ["Call", "read_calls", "read_violations"]
