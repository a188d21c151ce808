"""What comes with a decoded frame beside its picture, with PyAV of any version."""

from __future__ import annotations

from typing import Any

import av


def side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """By the kind's name. Until PyAV 19 iterating gave the data, which its stubs took for a mapping; now the kinds."""
    found: Any = frame.side_data
    return {one.type.name: bytes(one) for one in (found[number] for number in range(len(found)))}
