"""Puts the packets of several encoders into one order: groups of pictures, one after the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .._errors import EncoderFailed
from .._nvenc import Packet
from .engine_lane import Group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .engine_lane import EngineLane


class PacketOrder:
    """Holds packets back until it is their group's turn, and numbers them as one encoder would."""

    def __init__(self) -> None:
        self.frames = 0
        """The frames of all groups together."""
        self.bytes_waiting = 0
        """Size of the packets that wait for their group's turn."""
        self._groups: deque[Group] = deque()
        self._due: list[Packet] = []
        self._given = 0
        self._first_dts = 0

    @property
    def frames_waiting(self) -> int:
        """Frames whose packets are still to come, or wait for their turn."""
        return self.frames - self._given

    @property
    def head(self) -> Group | None:
        """The group whose packets come next; None: all packets have come."""
        return self._groups[0] if self._groups else None

    def begin(self, lane: EngineLane) -> Group:
        group = Group(self.frames, lane)
        self._groups.append(group)
        lane.groups.append(group)
        return group

    def add(self, group: Group, number: int) -> None:
        """One more frame, which the group's encoder has taken."""
        group.numbers.append(number)
        self.frames += 1

    def end(self, group: Group) -> None:
        group.has_ended = True
        self._advance()

    def arrive(self, lane: EngineLane, packets: Iterable[Packet]) -> None:
        """Takes packets of this lane's encoder. ``take`` gives those whose turn it is."""
        for packet in packets:
            while lane.groups and lane.groups[0].has_arrived:
                lane.groups.popleft()
            group = lane.groups[0] if lane.groups else None
            if group is None or not group.first <= packet.seq < group.first + len(group.numbers):
                raise EncoderFailed(
                    f"{lane.label} gave the packet of frame {packet.seq} before all packets of an earlier group of "
                    "pictures. Please report it with the driver's version. Use engines=1."
                )
            group.arrived += 1
            group.waiting.append(packet)
            self.bytes_waiting += len(packet.data)
        self._advance()

    def take(self) -> list[Packet]:
        """The packets whose turn it is, each of them once."""
        due, self._due = self._due, []
        return due

    def _advance(self) -> None:
        while self._groups:
            group = self._groups[0]
            while group.waiting:
                self._due.append(self._numbered(group, group.waiting.popleft()))
                group.given += 1
            if not group.is_over:
                return
            self._groups.popleft()

    def _numbered(self, group: Group, packet: Packet) -> Packet:
        """The packet with the caller's number, and the times that a single encoder would give it."""
        if self._given == 0:
            self._first_dts = packet.dts
        dts = self._first_dts + self._given
        self._given += 1
        self.bytes_waiting -= len(packet.data)
        number = group.numbers[packet.seq - group.first]
        kind, qp, layer = packet.pic_type, packet.frame_avg_qp, packet.temporal_layer
        return Packet(number, packet.data, packet.keyframe, packet.seq, dts, kind, qp, layer)
