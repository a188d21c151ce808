"""How many bits a second a link takes, from what its viewer answers. Pure: the caller passes the times.

The queue in front of a slow link is what has to stay short. Its delay is what a round trip takes beyond the shortest
one known. Where it grows, the rate falls below what really arrives, until the queue is gone. Where there is none, the
rate rises: fast as long as it is far below what the link is known to take (the ceiling), and then in careful steps,
which come the more seldom the more of them met the same ceiling.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil

LONG_QUEUE = 0.045
"""Seconds of delay from which on the link has too much to do."""
SHORT_QUEUE = 0.02
"""Seconds of delay up to which the link could take more."""
LONGEST_PACKET = 0.1
"""Seconds that one packet may take by itself; more is a queue."""
BASE_WINDOW = 20.0
"""Seconds for which the shortest round trip is remembered: routes change."""
RECENT = 0.15
"""Seconds over which the shortest delay counts: a key frame alone delays itself, and means no queue."""
LONGEST_MEMORY = 10.0
"""Seconds after which no answer to a packet is expected."""
DELIVERY_WINDOW = 0.25
"""Seconds over which arrivals are counted, unless fewer than FEWEST_ARRIVALS came then."""
FEWEST_ARRIVALS = 3
SENT_WINDOW, LOSS_WINDOW = 1.0, 4.0
"""Seconds over which the packets given out and the lost ones are counted."""
FEWEST_PACKETS = 30
"""The fewest packets for a share of losses: among fewer, a single one would be a large share."""
FEW_LOST, MANY_LOST = 0.04, 0.1
"""Shares of packets. Up to the first, losses are the link's nature; from the second on, it has too much to do."""
BELOW_CEILING = 0.9
"""The share of the ceiling at which the rate stays."""
FALL_WITHOUT_ANSWER = 0.5
"""The rate falls to this share if nothing arrives at all."""
LEAST_FALL = 0.5
"""In one step, the rate falls at most to this share of what arrives."""
DRAIN_TIME = 0.5
"""Seconds in which the queue should be gone."""
REACTION = 0.2
"""Seconds that a change needs to show, besides the round trip."""
FAST_RISE, SLOW_RISE = 0.8, 0.08
"""Growth in a second, as a share of the rate: far below the ceiling, and near it or above."""
NEAR = 1.15
"""Up to this share of the ceiling, the rate is near it. Above, the ceiling is no longer true."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 6.0
"""Seconds at the ceiling before the next try to rise above it. Doubled each time that the try fails."""
LONGEST_STEP = 0.25
"""Seconds without an answer count at most as this much when the rate rises."""
BESIDE_BANDWIDTH = 0.95
"""The share of the viewer's reported bandwidth that the video may use."""
LONGEST_BASE = 0.5
"""Seconds of a round trip that count for this. The first one may be that of a large key frame on a slow link."""
SPARE_TIME = 0.06
"""Seconds beyond a round trip for which packets may be on their way."""
UNUSED = 1.5
"""The rate does not rise beyond this multiple of what is really sent: nothing is known of the link there."""


@dataclass(frozen=True)
class _Sent:
    time: float
    bits: int


class BitrateController:
    """Steers between two bounds. It begins at the upper one, unless told otherwise."""

    def __init__(self, lowest: int, highest: int, start: int | None = None) -> None:
        self._lowest, self._highest = lowest, highest
        self._rate = float(min(max(start or highest, lowest), highest))
        self._bandwidth: float | None = None
        self._ceiling: float | None = None
        self._wait = FIRST_WAIT
        self._try_at: float | None = None
        self._held_until = 0.0
        self._risen_at: float | None = None
        self._unheard: dict[int, _Sent] = {}
        self._sent = _Lately(SENT_WINDOW)
        self._arrivals: deque[tuple[float, int]] = deque()
        self._rtts: deque[tuple[float, float]] = deque()
        self._base = _ShortestLately()
        self._losses = _Lately(LOSS_WINDOW)  # 1 for a lost packet, 0 for one that arrived
        self.rtt: float | None = None
        """The last round trip, in seconds."""

    @property
    def bitrate(self) -> int:
        """Bits a second that the encoder should aim at."""
        most = self._highest if self._bandwidth is None else min(self._highest, self._bandwidth * BESIDE_BANDWIDTH)
        return round(max(min(self._rate, most), self._lowest))

    @property
    def shortest_rtt(self) -> float | None:
        return self._base.value

    def set_bounds(self, lowest: int, highest: int) -> None:
        """Changes the bounds, for pictures of another size. A rate at the upper bound stays there."""
        was_highest = self._rate >= self._highest
        self._lowest, self._highest = lowest, highest
        self._rate = float(highest) if was_highest else min(max(self._rate, lowest), highest)

    def sent(self, seq: int, size: int, now: float) -> None:
        """A packet of so many bytes was given out."""
        self._unheard[seq] = _Sent(now, 8 * size)
        while now - next(iter(self._unheard.values())).time > LONGEST_MEMORY:
            del self._unheard[next(iter(self._unheard))]
        self._sent.add(now, 8 * size)
        if self._has_answers:
            self._judge(now)

    def acked(self, seq: int, now: float) -> None:
        """The packet has arrived. Those before it have, too, or they never will."""
        newest = self._unheard.get(seq)
        bits = 0
        for one in [one for one in self._unheard if one <= seq]:
            bits += self._unheard.pop(one).bits
            self._losses.add(now, 0)
        self._arrivals.append((now, bits))
        if newest is not None:
            self._measured(now - newest.time, now)
        self._judge(now)

    def lost(self, seq: int, now: float) -> None:
        """The packet has not arrived."""
        if self._unheard.pop(seq, None) is not None:  # it may be told several times
            self._losses.add(now, 1)

    def heard(self, now: float, *, rtt: float | None = None, bandwidth: float | None = None) -> None:
        """What the viewer has measured itself: a round trip in seconds, and bits a second that its link takes."""
        if bandwidth is not None:
            self._bandwidth = bandwidth
            if not self._has_answers:
                self._rate = min(max(bandwidth * BESIDE_BANDWIDTH, self._lowest), self._highest)
        if rtt is not None:
            self._measured(rtt, now)
            self._judge(now)

    def frames_in_flight(self, fps: float) -> int | None:
        """How many frames may be on their way: as many as a round trip takes, and a short queue. None: unknown."""
        base = self._base.value
        return None if base is None or not self._has_answers else ceil((min(base, LONGEST_BASE) + SPARE_TIME) * fps) + 1

    def forget(self) -> None:
        """Forgets all packets on their way: another viewer, or one that starts again, does not answer for them."""
        self._unheard.clear()

    def queue_delay(self, now: float) -> float | None:
        """Seconds that packets wait on their way now; None: unknown."""
        base = self._base.value
        if base is None:
            return None
        oldest = next(iter(self._unheard.values()), None)
        unheard = now - oldest.time if oldest is not None and self._has_answers else 0.0
        return max(self._recent_rtt(now) - base, unheard - base, 0.0)

    def _recent_rtt(self, now: float) -> float:
        return min((rtt for time, rtt in self._rtts if now - time <= RECENT), default=self._rtts[-1][1])

    @property
    def _has_answers(self) -> bool:
        return bool(self._arrivals)

    def _measured(self, rtt: float, now: float) -> None:
        self.rtt = rtt
        self._base.add(rtt, now)
        self._rtts.append((now, rtt))
        while len(self._rtts) > 1 and now - self._rtts[0][0] > RECENT:
            self._rtts.popleft()

    def _judge(self, now: float) -> None:
        queue = self.queue_delay(now)
        lost = self._losses.total(now) / max(len(self._losses), FEWEST_PACKETS)
        if queue is None:
            return
        own = self._time_between_packets()
        has_long_queue = queue > LONG_QUEUE + own
        if has_long_queue or lost > MANY_LOST:
            self._risen_at = now
            if now >= self._held_until:
                self._fall(queue if has_long_queue else None, lost, now)
        elif queue < SHORT_QUEUE + own and lost < FEW_LOST:
            self._rise(now)
        else:
            self._risen_at = now

    def _fall(self, queue: float | None, lost: float, now: float) -> None:
        """``queue``: its delay, if that is why; otherwise it is for the lost packets."""
        arriving = self._arriving(now)
        if queue is None:
            self._met_ceiling(self._rate, now)
            self._rate *= 1 - lost / 2
        elif arriving is None:
            self._rate *= FALL_WITHOUT_ANSWER
        else:
            self._met_ceiling(arriving, now)
            share = max(BELOW_CEILING - queue / DRAIN_TIME, LEAST_FALL)
            self._rate = min(self._rate, arriving * share)
        self._rate = max(self._rate, self._lowest)
        self._losses.clear()  # they have had their effect
        self._held_until = now + min(self._base.value or 0, LONGEST_BASE) + REACTION

    def _met_ceiling(self, arriving: float, now: float) -> None:
        is_same = self._ceiling is not None and arriving > self._ceiling / NEAR
        self._wait = min(2 * self._wait, LONGEST_WAIT) if is_same else FIRST_WAIT
        self._ceiling = arriving
        self._try_at = now + self._wait

    def _rise(self, now: float) -> None:
        passed = min(now - self._risen_at, LONGEST_STEP) if self._risen_at is not None else 0.0
        self._risen_at = now
        if now < self._held_until or self._rate > UNUSED * self._sending(now):
            return
        ceiling = self._ceiling
        if ceiling is not None and self._rate > NEAR * ceiling:
            ceiling = self._ceiling = self._try_at = None
            self._wait = FIRST_WAIT
        if ceiling is None or self._rate < BELOW_CEILING * ceiling:
            risen = self._rate * (1 + FAST_RISE * passed)
            self._rate = risen if ceiling is None else min(risen, BELOW_CEILING * ceiling)
        elif self._try_at is not None and now >= self._try_at:
            self._rate *= 1 + SLOW_RISE * passed
        self._rate = min(self._rate, self._highest)

    def _time_between_packets(self) -> float:
        """A packet takes up to this long to pass a link that the stream fills, without any queue."""
        if len(self._sent) < 2:
            return 0.0
        return min(self._sent.span / (len(self._sent) - 1), LONGEST_PACKET)

    def _sending(self, now: float) -> float:
        """Bits a second that were given out lately."""
        bits = self._sent.total(now)
        return bits / max(now - self._sent.first, DELIVERY_WINDOW) if bits else 0.0

    def _arriving(self, now: float) -> float | None:
        """Bits a second that arrive now; None: too little is known."""
        arrivals = self._arrivals
        while len(arrivals) > FEWEST_ARRIVALS and now - arrivals[1][0] > DELIVERY_WINDOW:
            arrivals.popleft()
        if len(arrivals) < FEWEST_ARRIVALS:
            return None
        first, last = arrivals[0][0], arrivals[-1][0]
        usual = (last - first) / (len(arrivals) - 1)
        end = now if now - last > 2 * usual else last
        bits = sum(bits for _, bits in list(arrivals)[1:])
        return bits / (end - first) if end > first else None


class _Lately:
    """The numbers of the last few seconds, and their sum."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, now: float, number: int) -> None:
        self._entries.append((now, number))
        self._total += number
        self.total(now)

    def total(self, now: float) -> int:
        while self._entries and self._entries[0][0] < now - self._seconds:
            self._total -= self._entries.popleft()[1]
        return self._total

    def clear(self) -> None:
        self._entries.clear()
        self._total = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first(self) -> float:
        """The time of the oldest one."""
        return self._entries[0][0]

    @property
    def span(self) -> float:
        """Seconds from the oldest to the newest one."""
        return self._entries[-1][0] - self._entries[0][0]


class _ShortestLately:
    """The least value in a window of time. It keeps one value for each half of the window."""

    def __init__(self) -> None:
        self._before: float | None = None
        self._now: float | None = None
        self._since = 0.0

    def add(self, value: float, now: float) -> None:
        if self._now is None or now - self._since > BASE_WINDOW / 2:
            self._before, self._now, self._since = self._now, value, now
        self._now = min(self._now, value)

    @property
    def value(self) -> float | None:
        known = [value for value in (self._before, self._now) if value is not None]
        return min(known) if known else None
