"""One video over several engines: each gets whole groups of pictures, and the packets come out in order.

A group of pictures (GOP) begins with an IDR and refers to nothing outside, so that any engine can encode it. The
caller's thread gives each frame straight to the encoder of its group, which copies it and returns while it has room.
There are no threads and no copies besides those.

**Bounds.** An engine has at most ``extra_output_delay`` frames in flight (up to 64), or as many as lookahead and
B-frames hold back; ``lane_config`` says how many it needs. At most ``most_frames`` frames are between ``submit`` and
their packets, and when a group begins, less than ``MOST_BYTES`` of packets wait for their turn. If there would be more,
the engine that all others wait for is emptied first.

**Speeds.** Engines of the same kind of GPU take turns. If there are several kinds, a new group goes to the engine that
will be the first to have nothing to do, so that a faster one has a larger share.
"""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from .._encoders.frame_layout import CUDA_DEVICES, dlpack_device
from .._errors import (
    CudaFailed,
    DeviceLost,
    EncoderClosed,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NvencError,
    OutOfMemory,
)
from .._mp4 import hevc
from .engine_lane import EngineLane, lane_config, longest_shared_gop
from .packet_order import PacketOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .._config.config import EncoderConfig
    from .._config.picture import PictureOptions
    from .._nvenc import Packet
    from ..events import EngineInfo
    from .engine_lane import Group

MOST_BYTES = 256 << 20
"""Bytes of packets that wait for their turn."""
ENGINES_OWN = (DeviceLost, EncoderFailed, CudaFailed, OutOfMemory)
"""Failures that are not caused by the frame."""


def lanes_of(engines: Sequence[EngineInfo], config: EncoderConfig) -> list[EngineLane]:
    """A lane for each of these hardware engines."""
    gpus = [engine.gpu_id for engine in engines]
    return [
        EngineLane(engine, lane_config(config, engine, len(engines), gpus.count(engine.gpu_id))) for engine in engines
    ]


class AllEngines:
    """Encodes one video with several engines. One thread at a time may use it.

    Frames on the host go to all engines. A frame on a GPU goes to the engines of that GPU.

    Args:
        config: of the video; ``gop`` is the length of the groups.
        engines: hardware engines, as ``find_engines`` finds them.
        tell: is called with what the user should know, such as that an engine is not used.

    Raises:
        InvalidConfig: the configuration has no groups of pictures that could be shared.
    """

    def __init__(self, config: EncoderConfig, engines: Sequence[EngineInfo], tell: Callable[[str], object]) -> None:
        if config.intra_refresh_period:
            raise InvalidConfig(
                "intra_refresh_period does not work with several engines, which share a video by its groups of "
                "pictures: it makes one group of all pictures. Leave it out, or use engines=1."
            )
        if not config.gop:
            raise InvalidConfig(
                "Expected gop of 1 or more: several engines share a video by its groups of pictures. Got "
                f"gop={config.gop}, which gives them none to share. Use gop=60, or engines=1."
            )
        self._config, self._tell, self._gop = config, tell, config.gop
        self._lanes = lanes_of(engines, config)
        self._has_several_gpus = len({lane.engine.gpu_id for lane in self._lanes}) > 1
        self._speeds_differ = len({lane.engine.gpu_name for lane in self._lanes}) > 1
        self._order = PacketOrder()
        self._group: Group | None = None
        self._groups = 0
        self._header: bytes | None = None
        self._failure: NvencError | None = None
        self._is_closed = False
        depth = max(lane.config.extra_output_delay for lane in self._lanes)
        self.most_frames = (8 if self._speeds_differ else 2) * len(self._lanes) * (depth + self._gop)
        """Frames between ``submit`` and their packets, from which on a new group waits for earlier ones.

        A fast engine does several groups while a slow one does one.
        """
        self._tell_of_long_groups()

    @property
    def frames_waiting(self) -> int:
        """Frames that were submitted and whose packets have not come out."""
        return self._order.frames_waiting

    @property
    def bytes_waiting(self) -> int:
        """Size of the packets that wait for earlier ones."""
        return self._order.bytes_waiting

    def submit(
        self,
        frame: Any,
        number: int,
        *,
        force_idr: bool = False,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> list[Packet]:
        """Gives a frame to an engine, and returns the packets whose turn it is now.

        It waits if no engine has room. A frame that is refused changes nothing: the next one takes its place.
        """
        self._require_usable()
        if not self._continues_group(frame, force_idr, picture) or not self._add(frame, number, stream, picture):
            self._begin_group(frame, number, stream, picture)
        return self._order.take()

    def finish(self) -> Iterator[Packet]:
        """The packets of all frames that were submitted. If an engine fails, those before its frames come first."""
        self._end_group()
        yield from self._order.take()
        while (head := self._order.head) is not None:
            self._empty(head)
            yield from self._order.take()
        if self._failure is not None:
            raise self._failure

    def header(self) -> bytes:
        """The parameter sets, which are the same for all groups."""
        if self._header is None:
            self._require_usable()
            self._choose_lane(None)
        assert self._header is not None
        return hevc.with_alpha_information(self._header) if self._config.alpha else self._header

    def close(self) -> None:
        """Ends all encoders. What is in flight is lost. Raises the first failure, after all have been ended."""
        self._is_closed = True
        failures = []
        for lane in self._lanes:
            try:
                lane.close()
            except NvencError as error:
                failures.append(error)
        if failures and self._failure is None:
            raise failures[0]

    def _require_usable(self) -> None:
        if self._is_closed:
            raise EncoderClosed("The encoders are closed. Make new ones.")
        if self._failure is not None:
            raise self._failure

    # --- groups ---

    def _continues_group(self, frame: Any, force_idr: bool, picture: PictureOptions | None) -> bool:
        """Whether the frame belongs to the last group: an encoder would not make an IDR of it, and can read it."""
        group = self._group
        if group is None or force_idr or (picture is not None and picture.type == "IDR"):
            return False
        if len(group.numbers) >= self._gop and (picture is None or picture.type != "P"):
            return False
        return self._gpu_of(frame) in (None, group.lane.engine.gpu_id)

    def _begin_group(self, frame: Any, number: int, stream: Any, picture: PictureOptions | None) -> None:
        self._end_group()
        self._make_room(None)
        packets = None
        while packets is None:
            lane = self._choose_lane(frame)
            packets = self._given(lane, frame, True, stream, picture)
        self._group = self._order.begin(lane)
        self._order.add(self._group, number)
        self._order.arrive(lane, packets)
        self._groups += 1
        lane.last_used = self._groups

    def _add(self, frame: Any, number: int, stream: Any, picture: PictureOptions | None) -> bool:
        """Whether the last group has the frame now. Otherwise its engine failed, and the group has ended before it."""
        group = self._group
        assert group is not None
        self._make_room(group.lane)
        packets = self._given(group.lane, frame, False, stream, picture)
        if packets is None:
            return False
        self._order.add(group, number)
        self._order.arrive(group.lane, packets)
        return True

    def _end_group(self) -> None:
        if self._group is not None:
            self._order.end(self._group)
            self._group = None

    # --- lanes ---

    def _given(
        self, lane: EngineLane, frame: Any, force_idr: bool, stream: Any, picture: PictureOptions | None
    ) -> list[Packet] | None:
        """The packets that come out when the lane gets the frame. None: its engine failed, and lost nothing."""
        try:
            return lane.submit(frame, self._order.frames, force_idr, stream, picture)
        except ENGINES_OWN as error:
            if not self._rescue(lane) or len(self._lanes) == 1:
                self._fail(lane, error)
            self._leave_out(lane, error)
            return None

    def _rescue(self, lane: EngineLane) -> bool:
        """Takes the packets that the encoder still gives after a failure. Whether these are all of its frames."""
        try:
            packets = lane.flush()
        except NvencError:
            return False
        known = [packet for packet in packets if packet.seq < self._order.frames]
        self._order.arrive(lane, known)
        return lane.in_flight == 0 and len(known) == len(packets)

    def _lanes_for(self, frame: Any) -> list[EngineLane]:
        gpu = self._gpu_of(frame)
        able = [lane for lane in self._lanes if gpu in (None, lane.engine.gpu_id)]
        if not able:
            raise InvalidFrame(
                f"The frame is on GPU {gpu}, but no engine of that GPU takes part. Copy it to the host, or to GPU "
                f"{self._lanes[0].engine.gpu_id}."
            )
        return able

    def _gpu_of(self, frame: Any) -> int | None:
        """The GPU that the frame lies on; None: the host, or it makes no difference."""
        if not self._has_several_gpus:
            return None
        return gpu_of(frame, self._config.gpu_id)

    def _choose_lane(self, frame: Any) -> EngineLane:
        """The next lane that can read the frame, or the one that will be free first. Its encoder is open."""
        while True:
            now = perf_counter()
            lane = min(
                self._lanes_for(frame),
                key=lambda one: (one.idle_at(now) if self._speeds_differ else 0.0, one.last_used),
            )
            if lane.encoder is not None or self._open(lane):
                return lane

    def _open(self, lane: EngineLane) -> bool:
        """Whether the lane has an encoder now. Otherwise it is not used."""
        try:
            header = lane.open().sequence_header()
        except NvencError as error:
            self._leave_out(lane, error)
            return False
        if self._header is None:
            self._header = header
        if header != self._header:
            self._leave_out(lane, "it writes other parameter sets than the first engine, and a file has only one.")
            return False
        return True

    def _leave_out(self, lane: EngineLane, reason: NvencError | str) -> None:
        """Goes on without this engine, which has no frames. Raises the reason if it is the last one."""
        lane.failure = (
            reason if isinstance(reason, NvencError) else EncoderFailed(f"{lane.label} is not usable: {reason}")
        )
        if len(self._lanes) == 1:
            raise lane.failure
        with suppress(NvencError):
            lane.close()
        self._lanes.remove(lane)
        self._tell(f"{lane.label} is not used; {len(self._lanes)} engines continue: {reason}")

    def _make_room(self, current: EngineLane | None) -> None:
        """Empties the engines that hold up all others, except the one that is in the middle of a group."""
        order = self._order
        while order.frames_waiting >= self.most_frames or order.bytes_waiting >= MOST_BYTES:
            head = order.head
            if head is None or head.lane is current:
                return
            self._empty(head)

    def _empty(self, group: Group) -> None:
        """Waits for all packets of this group, which has ended, and of those after it at the same engine."""
        lane = group.lane
        if self._failure is not None and lane.failure is self._failure:
            raise self._failure
        try:
            self._order.arrive(lane, lane.flush())
            if not group.has_arrived:
                raise EncoderFailed(f"{group.arrived} packets were returned for {len(group.numbers)} frames.")
        except NvencError as error:
            self._fail(lane, error)

    def _fail(self, lane: EngineLane, error: NvencError) -> NoReturn:
        """Raises: the engine's frames are lost, and with them a part of the video."""
        told = type(error)(
            f"{lane.label} failed, and frames that it had are lost: {error} What was encoded before them is complete. "
            "Use engines=1 if it fails again."
        )
        told.__dict__.update(error.__dict__)
        lane.failure = self._failure = told
        raise told from error

    def _tell_of_long_groups(self) -> None:
        lanes = len(self._lanes)
        longest = longest_shared_gop(self._config, self._lanes[0].engine, lanes) if lanes > 1 else 0
        if lanes > 1 and self._gop > longest:
            self._tell(
                f"gop={self._gop} is too long to keep {lanes} engines busy all the time. Use gop={longest} or less."
            )


def gpu_of(frame: Any, unknown: int) -> int | None:
    """The GPU that a frame lies on, or a view of a pair; ``unknown`` if it does not say which; None: the host."""
    if isinstance(frame, tuple):
        return next((gpu for gpu in (gpu_of(view, unknown) for view in frame) if gpu is not None), None)
    kind, number = dlpack_device(frame)
    if kind is not None:
        return number if kind in CUDA_DEVICES else None
    return unknown if hasattr(type(frame), "__cuda_array_interface__") else None
