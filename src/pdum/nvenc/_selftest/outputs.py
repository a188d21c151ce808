"""What comes out, when, and how much of it may wait."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from .bench import Bench, Encoder
from .driver import NEED_MORE_INPUT, Change, Refused, Settings
from .pictures import nv12
from .probe import Answer, NotHere, Probe

PICTURES = 40
B_FRAMES = (0, 1, 2, 3, 4)
LOOKAHEADS = (0, 4, 8, 16)
SURFACES = 6
IN_FLIGHT = 96


def structured(bframes: int = 0, lookahead: int = 0, gop: int = 250) -> Change:
    def change(settings: Settings) -> None:
        settings.structure(bframes, lookahead, gop)

    return change


def held_back(bench: Bench, codec: str, bframes: int, lookahead: int) -> tuple[int, int]:
    """How many pictures wait at the first success, and how often more input was needed in all."""
    with bench.encoder(codec, structured(bframes, lookahead)) as encoder:
        for number in range(PICTURES):
            encoder.add_surface(nv12(number % 8))
        statuses = [encoder.submit(number) for number in range(PICTURES)]
    waiting = statuses.index(0) if 0 in statuses else PICTURES
    return waiting, statuses.count(NEED_MORE_INPUT)


def expected_wait(bframes: int, lookahead: int) -> tuple[int, int]:
    """The same by the rules: a lookahead fills first. Then each anchor brings out the B-frames before it."""
    after_the_first = PICTURES - lookahead - 1  # the first picture is an IDR, which waits for no anchor
    return lookahead, lookahead + after_the_first - after_the_first // (bframes + 1)


def needs_more(codec: str) -> Callable[[Bench], Answer]:
    def ask(bench: Bench) -> Answer:
        bench.need_codec(codec)
        depths = LOOKAHEADS if bench.cap(codec, "SUPPORT_LOOKAHEAD") else (0,)
        wrong, numbers = [], {}
        for bframes in [count for count in B_FRAMES if count <= bench.cap(codec, "NUM_MAX_BFRAMES")]:
            found = {depth: held_back(bench, codec, bframes, depth) for depth in depths}
            numbers[f"B {bframes}"] = [f"{depth}: {first}/{total}" for depth, (first, total) in found.items()]
            wrong += [
                f"B {bframes} with lookahead {depth}: {first} at first, {total} of {PICTURES}"
                for depth, (first, total) in found.items()
                if (first, total) != expected_wait(bframes, depth)
            ]
        return Answer(found=f"otherwise: {', '.join(wrong)}" if wrong else AS_MANY, numbers=numbers)

    return ask


AS_MANY = "as many as the lookahead, then each anchor brings out the B-frames before it"


def several_locked(bench: Bench) -> Answer:
    """Four outputs are locked before the first is unlocked."""
    with bench.encoder(bench.best_codec(), structured()) as encoder:
        for number in range(4):
            encoder.add_surface(nv12(number))
        for number in range(4):
            encoder.submit(number)
        encoder.end()
        locked = _lock_all(encoder, range(4))
        for number in range(locked):
            encoder.unlock(number)
        for number in range(locked, 4):
            encoder.take(number)
    return Answer(found=f"{locked} of 4 at once")


def _lock_all(encoder: Encoder, outputs: range) -> int:
    """How many could be locked without unlocking one."""
    for count, output in enumerate(outputs):
        try:
            encoder.lock(output)
        except Refused:
            return count
    return len(outputs)


def many_in_flight(bench: Bench) -> Answer:
    """Many more pictures than any client keeps, each with an output, and none is locked before the end."""
    with bench.encoder(bench.best_codec(), structured()) as encoder:
        for number in range(SURFACES):
            encoder.add_surface(nv12(number))
        while len(encoder.outputs) < IN_FLIGHT:
            encoder.add_output()
        for number in range(IN_FLIGHT):
            encoder.submit(number % SURFACES, output=number, timestamp=number)
        encoder.end()
        stamps = [encoder.take(number).timestamp for number in range(IN_FLIGHT)]
    if stamps == list(range(IN_FLIGHT)):
        return Answer(found=f"all {IN_FLIGHT} come, in order")
    return Answer(found=f"{len(set(stamps))} of {IN_FLIGHT} come, in order: {stamps == sorted(stamps)}")


def forced_idr(bench: Bench) -> Answer:
    """A group of 10, and an IDR forced at the fourth picture."""
    codec, gop, forced = bench.best_codec(), 10, 4
    with bench.encoder(codec, structured(gop=gop)) as encoder:
        for number in range(18):
            encoder.add_surface(nv12(number % 8))
        for number in range(18):
            flags = encoder.session.interface.NV_ENC_PIC_FLAG_FORCEIDR if number == forced else 0
            encoder.submit(number, encodePicFlags=flags)
        encoder.end()
        units = [encoder.take(number) for number in range(18)]
    idrs = [unit.timestamp for unit in units if unit.pic_type == "IDR"]
    names = {(0, 4, 14): "it restarts", (0, 4, 10): "it goes on", (0, 10): "the flag has no effect"}
    return Answer(found=names.get(tuple(idrs), f"IDR pictures at {idrs}"))


def on_after_the_end(bench: Bench) -> Answer:
    """Three pictures, the end of the stream, and three more in the same session."""
    with bench.encoder(bench.best_codec(), structured()) as encoder:
        for number in range(6):
            encoder.add_surface(nv12(number))
        units = []
        for part in (range(3), range(3, 6)):
            for number in part:
                encoder.submit(number)
            status = encoder.end()
            if status:
                return Answer(found=f"the end answers {status}")
            units += [encoder.take(number) for number in part]
    return Answer(found=f"it goes on, with a picture of type {units[3].pic_type}")


def closed_without_the_end(bench: Bench) -> Answer:
    """A session is destroyed while pictures wait, and the next one has to work."""
    codec = bench.best_codec()
    bframes = min(2, bench.cap(codec, "NUM_MAX_BFRAMES"))
    with bench.encoder(codec, structured(bframes)) as encoder:
        for number in range(2):
            encoder.add_surface(nv12(number))
        for number in range(2):
            encoder.submit(number)
        status = encoder.abandon()
    with bench.encoder(codec, structured()) as encoder:
        _, units = encoder.run(2)
    works = all(unit.data for unit in units)
    return Answer(found="the next session works" if works else "the next session fails", numbers={"status": status})


def av1_order(bench: Bench) -> Answer:
    """In which order AV1's temporal units come when there are B-frames, and what is in them."""
    codec = bench.need_codec("av1")
    if bench.cap(codec, "NUM_MAX_BFRAMES") < 2:
        raise NotHere("this card codes no AV1 with B-frames")
    with bench.encoder(codec, structured(bframes=2)) as encoder:
        _, units = encoder.run(8)
    stamps = [unit.timestamp for unit in units]
    numbers: dict[str, Any] = {"timestamps": stamps, "OBU types": [obu_types(unit.data) for unit in units]}
    order = "display order" if stamps == sorted(stamps) else "another order"
    return Answer(found=f"one temporal unit for each picture, in {order}", numbers=numbers)


def obu_types(data: bytes) -> list[int]:
    """The types of the OBUs in a temporal unit."""
    types, place = [], 0
    while place < len(data):
        header = data[place]
        types.append(header >> 3 & 15)
        place += 2 if header & 4 else 1
        if not header & 2:  # without a size it goes to the end
            return types
        size = shift = 0
        while True:
            byte = data[place]
            place += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        place += size
    return types


# Metadata OBUs: name, the type of their metadata, and a payload of the right length.
MESSAGES: tuple[tuple[str, int, bytes], ...] = (
    ("content light level", 1, bytes((3, 232, 1, 144))),
    ("mastering display", 2, bytes(24)),
    ("ITU-T T.35", 4, bytes((181, 0, 60, 0, 1, 4))),
    ("time code", 5, bytes(4)),
)


def accepted_obus(bench: Bench) -> Answer:
    """Each kind of metadata is given with a picture of its own stream."""
    codec = bench.need_codec("av1")
    taken: list[str] = []
    refused: list[str] = []
    for name, kind, payload in MESSAGES:
        try:
            with bench.encoder(codec, structured()) as encoder:
                _, units = encoder.run(2, picture=_with_message(encoder, kind, payload))
        except Refused as error:
            refused.append(f"{name} ({error.status})")
            continue
        (taken if any(5 in obu_types(unit.data) for unit in units) else refused).append(name)
    found = "all" if not refused else f"not {', '.join(refused)}"
    return Answer(found=found, numbers={"in the stream": taken})


def _with_message(encoder: Encoder, kind: int, payload: bytes) -> Callable[[Any], None]:
    interface = encoder.session.interface
    content = (ctypes.c_uint8 * len(payload))(*payload)
    message = interface.class_of("NV_ENC_SEI_PAYLOAD")()
    message.payloadSize, message.payloadType = len(payload), kind
    message.payload = ctypes.addressof(content)
    encoder.kept += [content, message]

    def change(params: Any) -> None:
        params.codecPicParams.av1PicParams.obuPayloadArrayCnt = 1
        params.codecPicParams.av1PicParams.obuPayloadArray = ctypes.addressof(message)

    return change


def _probe(name: str, question: str, assumed: str, source: str, ask: Callable[[Bench], Answer]) -> Probe:
    return Probe(theme="outputs", name=name, question=question, assumed=assumed, source=source, ask=ask)


GUIDE = "NVENC's programming guide"
CLIENTS = "what other clients rely on"

PROBES = (
    *(
        _probe(
            f"need more input, {codec}",
            "How many pictures wait before the first access unit, for each number of B-frames and lookahead?",
            AS_MANY,
            GUIDE,
            needs_more(codec),
        )
        for codec in ("h264", "hevc", "av1")
    ),
    _probe("several locked", "Can several bitstreams be locked at once?", "1 of 4 at once", CLIENTS, several_locked),
    _probe(
        "many in flight",
        f"Can {IN_FLIGHT} pictures be in flight?",
        f"all {IN_FLIGHT} come, in order",
        "clients are known to keep 64",
        many_in_flight,
    ),
    _probe("forced IDR", "Does a forced IDR restart the period?", "it restarts", GUIDE, forced_idr),
    _probe(
        "after the end",
        "Does a session go on after the end of its stream?",
        "it goes on, with a picture of type IDR",
        GUIDE,
        on_after_the_end,
    ),
    _probe(
        "closed without the end",
        "Does a session that is destroyed with pictures in flight leave the driver well?",
        "the next session works",
        GUIDE,
        closed_without_the_end,
    ),
    _probe(
        "order of AV1",
        "In which order do AV1's temporal units come with B-frames?",
        "one temporal unit for each picture, in display order",
        "a temporal unit shows one picture",
        av1_order,
    ),
    _probe("metadata of AV1", "Which metadata OBUs are taken?", "all", "the header: obuPayloadArray", accepted_obus),
)
