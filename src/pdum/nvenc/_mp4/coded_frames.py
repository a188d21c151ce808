"""Packets of encoders as samples of MP4: with lengths instead of start codes, and without what the track says."""

from __future__ import annotations

from .._errors import InvalidConfig
from . import av1, h264, hevc_units
from .bits import START_CODE, nal_units, obus

LENGTH = 4


class Converter:
    """Converts the packets of one video track."""

    def __init__(self, codec: str, header: bytes) -> None:
        self._codec = codec
        of_codec = h264 if codec == "h264" else hevc_units
        kind_of, kinds = of_codec.kind_of, of_codec.PARAMETER_SETS
        self._known = set() if codec == "av1" else {unit for unit in nal_units(header) if kind_of(unit) in kinds}

    def sample(self, packet: bytes) -> bytes:
        """Parameter sets that the track's description has are left out. Others stay, so that nothing is lost.

        Raises:
            InvalidConfig: there is no unit of the codec in it.
        """
        if self._codec == "av1":
            made = b"".join(whole for kind, whole, _ in obus(packet) if kind != av1.TEMPORAL_DELIMITER)
        elif any(packet[: max(0, packet.find(START_CODE))]):
            made = b""  # another form, or the end of another packet
        else:
            units = [unit for unit in nal_units(packet) if unit not in self._known]
            made = b"".join(part for unit in units for part in (len(unit).to_bytes(LENGTH, "big"), unit))
        if not made:
            form = "OBUs" if self._codec == "av1" else "NAL units in Annex B's form"
            raise InvalidConfig(f"Expected a packet with a picture in {form}, got {bytes(packet[:16])!r}.")
        return made


def is_whole_sample(codec: str, sample: bytes) -> bool:
    """Whether the units of a sample fill it exactly. After a crash, it may hold zeros or another file's bytes."""
    if codec == "av1":
        try:
            kinds = [kind for kind, _, _ in obus(sample)]
            return bool(kinds) and all(kind in av1.KINDS for kind in kinds)
        except InvalidConfig:
            return False
    at = 0
    while at + LENGTH < len(sample):
        size = int.from_bytes(sample[at : at + LENGTH], "big")
        if size == 0:
            return False
        at += LENGTH + size
    return at == len(sample) and at > 0
