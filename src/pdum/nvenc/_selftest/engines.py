"""Sessions and engines: how many there may be, and what more of them bring."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

from .bench import Bench, Encoder
from .driver import Change, Driver, Refused, Session, Settings
from .pictures import nv12
from .probe import Answer, NotHere, Probe

MOST_SESSIONS = 20
GEFORCE_SESSIONS = 12
OUT_OF_SESSIONS = (10, 21)
LARGE = (1280, 720)
MANY_FRAMES = 60
QUICK = 0.05
"""Seconds under which a measurement is repeated with many frames."""
SPEED_SIZE = (640, 384)
SPEED_FRAMES = 24
FAST = 1000
"""Frames a second over which calls of Python would be what is measured; then pictures are large."""
FAST_SIZE = (1920, 1080)
FAST_FRAMES = 400
IN_FLIGHT = 4
NOT_SPLIT = 15
TRIES = 3
"""Of a measurement that other work on the machine may disturb."""


# How many sessions.


def session_limit(bench: Bench) -> Answer:
    """Opens and initialises sessions until one is refused, and gives all of them back."""
    codec = bench.best_codec()
    sessions: list[Session] = []
    refused: Refused | None = None
    try:
        while len(sessions) < MOST_SESSIONS and refused is None:
            refused = _one_more(bench.driver, bench, codec, sessions)
        opened = len(sessions)
    finally:
        for session in sessions:
            session.destroy()
    if refused is None:
        return Answer(found=f"no limit up to {MOST_SESSIONS}")
    numbers = {"status": refused.status, "call": refused.call}
    usual = refused.call == "nvEncOpenEncodeSessionEx" and refused.status in OUT_OF_SESSIONS
    how = "refused at opening, with 10 or 21" if usual else f"refused by {refused.call} with {refused.status}"
    return Answer(found=f"{opened} sessions; the next is {how}", numbers=numbers)


def _one_more(driver: Driver, bench: Bench, codec: str, sessions: list[Session]) -> Refused | None:
    try:
        sessions.append(driver.open(bench.cuda))
    except Refused as refused:
        return refused
    try:
        settings = Settings(sessions[-1], codec, (320, 192), 1, 1)
        sessions[-1].must("nvEncInitializeEncoder", ctypes.byref(settings.params))
    except Refused as refused:
        sessions.pop().destroy()
        return refused
    return None


def assumed_limit(bench: Bench) -> str:
    if bench.geforce:
        return f"{GEFORCE_SESSIONS} sessions; the next is refused at opening, with 10 or 21"
    return f"no limit up to {MOST_SESSIONS}"


# How fast.


def timed_run(encoder: Encoder, frames: int) -> float:
    """Seconds for so many frames with a few in flight, each locked in its turn. It needs as many surfaces."""
    start = time.perf_counter()
    for number in range(frames):
        slot = number % IN_FLIGHT
        if number >= IN_FLIGHT:
            encoder.take(slot)
        encoder.submit(slot, timestamp=number)
    for number in range(frames, frames + min(frames, IN_FLIGHT)):
        encoder.take(number % IN_FLIGHT)
    return time.perf_counter() - start


def one_in_one_out(settings: Settings) -> None:
    settings.structure(gop=250)


def speed(bench: Bench, codec: str, sessions: int, size: tuple[int, int], frames: int) -> float:
    """Frames a second of so many sessions together."""
    begin = threading.Barrier(sessions)
    spent: list[float] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            bench.cuda.make_current()
            with bench.encoder(codec, one_in_one_out, tuning=2, size=size) as encoder:
                for number in range(IN_FLIGHT):
                    encoder.add_surface(nv12(number, size))
                begin.wait(20)
                spent.append(timed_run(encoder, frames))
        except Exception as error:
            errors.append(error)
            begin.abort()

    threads = [threading.Thread(target=work) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return frames * sessions / max(spent)


def more_engines(bench: Bench) -> Answer:
    codec = bench.best_codec()
    engines = bench.cap(codec, "NUM_ENCODER_ENGINES")
    if engines < 2:
        raise NotHere(f"this card says it has {engines} encoder engine")
    size, frames = SPEED_SIZE, SPEED_FRAMES
    if speed(bench, codec, 1, size, frames) > FAST:
        size, frames = FAST_SIZE, FAST_FRAMES
    for _ in range(TRIES):
        alone, together = (speed(bench, codec, sessions, size, frames) for sessions in (1, engines))
        numbers = {"engines": engines, "one, frames/s": round(alone), "all, frames/s": round(together)}
        if together > alone * (1 + (engines - 1) / 2):
            return Answer(found="sessions share out over the engines", numbers=numbers)
    return Answer(found="no faster than one", numbers=numbers)


# One picture over several engines.


def split(mode: int) -> Change:
    def change(settings: Settings) -> None:
        settings.structure(gop=250)
        settings.params.splitEncodeMode = mode

    return change


def split_modes(beside: bool) -> Callable[[Bench], Answer]:
    """Each mode, alone or while another session is open."""

    def ask(bench: Bench) -> Answer:
        codec = next((one for one in ("hevc", "av1") if one in bench.codecs), None)
        if codec is None:
            raise NotHere("this card encodes neither HEVC nor AV1")
        if not beside:
            return _each_mode(bench, codec)
        with bench.encoder(codec, split(NOT_SPLIT), tuning=2, size=LARGE) as other:
            _rate(other)
            return _each_mode(bench, codec)

    return ask


def _each_mode(bench: Bench, codec: str) -> Answer:
    refused, numbers = [], {}
    for name, mode in bench.interface.members("NV_ENC_SPLIT_ENCODE_MODE").items():
        short = name.removeprefix("NV_ENC_SPLIT_").removesuffix("_MODE").lower().replace("_", " ")
        try:
            with bench.encoder(codec, split(mode), tuning=2, size=LARGE) as encoder:
                numbers[f"{short}, frames/s"] = _rate(encoder)
        except Refused as error:
            refused.append(f"{short} ({error.status})")
    found = f"refused: {', '.join(refused)}" if refused else "all are taken"
    return Answer(found=found, numbers=numbers)


def _rate(encoder: Encoder) -> int:
    """Frames a second, of a few frames alone if those take their time."""
    for number in range(IN_FLIGHT):
        encoder.add_surface(nv12(number, encoder.size))
    spent, frames = timed_run(encoder, IN_FLIGHT), IN_FLIGHT
    if spent < QUICK:
        frames = MANY_FRAMES
        spent = timed_run(encoder, frames)
    return round(frames / spent)


PROBES = (
    Probe(
        theme="engines",
        name="split modes",
        question="Which modes of splitting a picture are taken by a session that is alone?",
        assumed="all are taken",
        source="the header: NV_ENC_SPLIT_ENCODE_MODE",
        ask=split_modes(beside=False),
    ),
    Probe(
        theme="engines",
        name="split modes beside another session",
        question="Which of them are taken while another session is open?",
        assumed="all are taken",
        source="the header: NV_ENC_SPLIT_ENCODE_MODE",
        ask=split_modes(beside=True),
    ),
    Probe(
        theme="engines",
        name="speed of several",
        question="How fast are as many sessions as there are engines, against one?",
        assumed="sessions share out over the engines",
        source="NVIDIA's application note",
        ask=more_engines,
        seconds=60.0,
    ),
    Probe(
        theme="engines",
        name="session limit",
        question="How many sessions can be open, and which call refuses the next?",
        assumed=assumed_limit,
        source="NVIDIA's support matrix: 12 for GeForce cards",
        ask=session_limit,
        seconds=60.0,
    ),
)
