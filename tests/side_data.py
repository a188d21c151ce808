"""The side data of a decoded frame, with PyAV of any version."""

from __future__ import annotations

from typing import Any

import av


def side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """The data by the name of its kind. Before PyAV 19, iterating gave the data, since then the kinds."""
    found: Any = frame.side_data
    return {one.type.name: bytes(one) for one in (found[number] for number in range(len(found)))}
