"""Which lost packets still matter, and when a key frame is due. Pure: the caller passes the times."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class KeyFrames:
    """Joins requests for key frames, since several viewers ask at once and each asks again.

    A request that comes sooner than ``spacing`` seconds after the last key frame waits until then.
    """

    spacing: float
    _is_wanted: bool = False
    _is_urgent: bool = False
    _last_seq: int | None = None
    _last_time: float | None = None
    joined: int = 0
    """Requests that needed no key frame of their own."""

    def request(self, is_urgent: bool = False) -> None:
        """``is_urgent``: the last key frame does not repair the lost packet, so the request does not wait."""
        self.joined += self._is_wanted
        self._is_wanted = True
        self._is_urgent |= is_urgent

    def is_due(self, now: float) -> bool:
        has_waited = self._is_urgent or self._last_time is None or now - self._last_time >= self.spacing
        return self._is_wanted and has_waited

    def made(self, seq: int, now: float) -> None:
        """This frame is a key frame."""
        self._is_wanted = self._is_urgent = False
        self._last_seq, self._last_time = seq, now

    def came_out(self, seq: int, now: float) -> None:
        """A key frame came out of the encoder, maybe without a request."""
        if self._last_seq is None or seq > self._last_seq:
            self._last_seq, self._last_time = seq, now
            self._is_wanted = self._is_urgent

    def is_healed(self, seq: int) -> bool:
        """Whether a later key frame has been made, so that the loss of the packet no longer matters."""
        return self._last_seq is not None and seq < self._last_seq


@dataclass
class InFlight:
    """The packets that were sent and have no answer yet."""

    patience: float
    """A packet without an answer for so many seconds no longer counts: its answer was lost."""
    _sent: dict[int, float] = field(default_factory=dict)

    def sent(self, seq: int, now: float) -> None:
        self._sent[seq] = now
        self._forget_before(now - self.patience)

    def acked(self, seq: int) -> None:
        """That packet has arrived, and so have those before it, or they never will."""
        for one in [one for one in self._sent if one <= seq]:
            del self._sent[one]

    def lost(self, seq: int) -> None:
        self._sent.pop(seq, None)

    def forget(self) -> None:
        self._sent.clear()

    def count(self, now: float) -> int:
        self._forget_before(now - self.patience)
        return len(self._sent)

    def _forget_before(self, time: float) -> None:
        while self._sent and next(iter(self._sent.values())) < time:
            del self._sent[next(iter(self._sent))]
