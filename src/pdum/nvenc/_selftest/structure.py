"""Groups of pictures, tunings, levels and rates that are at the edge of what the interface says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .bench import Bench
from .driver import Change, Refused, Settings
from .outputs import structured
from .pictures import noise
from .probe import Answer, NotHere, Probe

ULTRA_HIGH_QUALITY = 5
VARIABLE_RATE = 1
INFINITE = 0xFFFFFFFF
FILTER_LEVEL = 4
ASSUMED_MEGABITS = 5.0
FRAMES_A_SECOND = 30
NOISY_FRAMES = 30


def _refused(statuses: Mapping[str, int]) -> str:
    """Those of some settings that were refused, each with its status."""
    return ", ".join(f"{name} ({status})" for name, status in statuses.items() if status)


def _all_or(statuses: Mapping[str, int], otherwise: str = "refused") -> str:
    bad = _refused(statuses)
    return f"{otherwise}: {bad}" if bad else "all are taken"


def ultra_high_quality(codec: str) -> Callable[[Bench], Answer]:
    """With and without lookahead and B-frames."""

    def ask(bench: Bench) -> Answer:
        bench.need_codec(codec)
        if "NV_ENC_TUNING_INFO_ULTRA_HIGH_QUALITY" not in bench.interface.members("NV_ENC_TUNING_INFO"):
            raise NotHere(f"interface {bench.interface.version} has no such tuning")
        most = min(4, bench.cap(codec, "NUM_MAX_BFRAMES"))
        settings = {
            f"B {bframes}, lookahead {lookahead}": _status(bench, codec, structured(bframes, lookahead))
            for bframes in (0, most)
            for lookahead in (0, 16)
        }
        return Answer(found=_all_or(settings), numbers={"statuses": settings})

    return ask


def _status(bench: Bench, codec: str, change: Change) -> int:
    try:
        return bench.initialise_status(codec, change, tuning=ULTRA_HIGH_QUALITY)
    except Refused as refused:
        return refused.status


def uhq_of_h264(bench: Bench) -> Answer:
    codec = bench.need_codec("h264")
    if "NV_ENC_TUNING_INFO_ULTRA_HIGH_QUALITY" not in bench.interface.members("NV_ENC_TUNING_INFO"):
        raise NotHere(f"interface {bench.interface.version} has no such tuning")
    status = _status(bench, codec, lambda _: None)
    return Answer(found="it is refused" if status else "it is taken", numbers={"status": status})


def deep_lookahead(bench: Bench) -> Answer:
    codec = bench.best_codec()
    if not bench.cap(codec, "SUPPORT_LOOKAHEAD"):
        raise NotHere("this card has no lookahead")
    statuses = {f"lookahead {depth}": bench.initialise_status(codec, structured(0, depth)) for depth in (31, 32, 40)}
    together = {f"with 2 B-frames {depth}": bench.initialise_status(codec, structured(2, depth)) for depth in (29, 30)}
    taken = [name for name, status in {**statuses, **together}.items() if status == 0]
    found = "31 is the most, B-frames included"
    if taken != ["lookahead 31", "with 2 B-frames 29"]:
        found = f"taken: {', '.join(taken) or 'none'}"
    return Answer(found=found, numbers={"statuses": {**statuses, **together}})


def temporal_filter(bench: Bench) -> Answer:
    """The level that is there, with each number of B-frames."""
    codec = next((one for one in ("hevc", "h264") if bench.cap(one, "SUPPORT_TEMPORAL_FILTER")), None)
    if codec is None:
        raise NotHere("this card or interface has no temporal filter")
    most = bench.cap(codec, "NUM_MAX_BFRAMES")
    if most < 4:
        raise NotHere(f"this card codes at most {most} B-frames of {codec}")

    def filtered(bframes: int) -> Change:
        def change(settings: Settings) -> None:
            settings.structure(bframes, 0, 250)
            settings.codec_config.tfLevel = FILTER_LEVEL

        return change

    statuses = {f"B {count}": bench.initialise_status(codec, filtered(count)) for count in range(5)}
    if statuses["B 4"]:
        return Answer(found=f"it is refused ({statuses['B 4']})", numbers={"statuses": statuses})
    with bench.encoder(codec, filtered(4)) as encoder:
        _, units = encoder.run(12)
    return Answer(found=f"it is taken, and {len(units)} of 12 pictures come", numbers={"statuses": statuses})


def infinite_group(bench: Bench) -> Answer:
    codec = bench.best_codec()
    bframes = min(2, bench.cap(codec, "NUM_MAX_BFRAMES"))
    with bench.encoder(codec, structured(bframes, gop=INFINITE)) as encoder:
        _, units = encoder.run(20)
    types = [unit.pic_type for unit in units]
    found = f"{types.count('IDR')} IDR picture in {len(types)}"
    return Answer(found=found, numbers={"types": types, "B-frames": bframes})


def levels(codec: str) -> Callable[[Bench], Answer]:
    def ask(bench: Bench) -> Answer:
        bench.need_codec(codec)
        prefix = f"NV_ENC_LEVEL_{codec.upper()}_"
        numbers = {name: n for name, n in bench.interface.members("NV_ENC_LEVEL").items() if name.startswith(prefix)}

        def at(level: int) -> Change:
            return lambda settings: setattr(settings.codec_config, "level", level)

        statuses = {name.removeprefix(prefix): bench.initialise_status(codec, at(n)) for name, n in numbers.items()}
        return Answer(found=_all_or(statuses), numbers={"tried": len(statuses)})

    return ask


def no_bit_rate(codec: str) -> Callable[[Bench], Answer]:
    """Noise under variable bit rate, with averageBitRate 0: what rate does the driver keep?"""

    def variable(settings: Settings) -> None:
        settings.structure(gop=250)
        settings.rate.rateControlMode = VARIABLE_RATE
        settings.rate.averageBitRate = settings.rate.maxBitRate = 0

    def ask(bench: Bench) -> Answer:
        bench.need_codec(codec)
        with bench.encoder(codec, variable) as encoder:
            _, units = encoder.run([noise(number) for number in range(NOISY_FRAMES)])
        size = sum(len(unit.data) for unit in units)
        megabits = size * 8 / NOISY_FRAMES * FRAMES_A_SECOND / 1e6
        near = ASSUMED_MEGABITS / 2 <= megabits <= ASSUMED_MEGABITS * 2
        found = f"about {ASSUMED_MEGABITS:.0f} Mbit/s" if near else f"about {megabits:.1f} Mbit/s"
        return Answer(found=found, numbers={"Mbit/s": round(megabits, 2)})

    return ask


def _probe(name: str, question: str, assumed: str, source: str, ask: Callable[[Bench], Answer]) -> Probe:
    return Probe(theme="structure", name=name, question=question, assumed=assumed, source=source, ask=ask)


GUIDE = "NVENC's programming guide"
ONE_CARD = "an RTX 3060 with driver 595"

PROBES: tuple[Probe, ...] = (
    *(
        _probe(
            f"ultra high quality, {codec}",
            "Is the tuning taken with and without B-frames and lookahead?",
            "all are taken",
            GUIDE,
            ultra_high_quality(codec),
        )
        for codec in ("hevc", "av1")
    ),
    _probe("ultra high quality, h264", "Does H.264 have this tuning?", "it is refused", GUIDE, uhq_of_h264),
    _probe(
        "lookahead over 31",
        "Is a lookahead of more than 31 pictures taken, and do B-frames count?",
        "31 is the most, B-frames included",
        GUIDE,
        deep_lookahead,
    ),
    _probe(
        "temporal filter",
        "Is the temporal filter taken with 4 B-frames?",
        "it is taken, and 12 of 12 pictures come",
        GUIDE,
        temporal_filter,
    ),
    _probe(
        "infinite group",
        "Does a group without an end have B-frames?",
        "1 IDR picture in 20",
        GUIDE,
        infinite_group,
    ),
    *(
        _probe(f"levels, {codec}", "Which levels are taken?", "all are taken", ONE_CARD, levels(codec))
        for codec in ("h264", "hevc", "av1")
    ),
    *(
        _probe(
            f"no bit rate, {codec}",
            "Which rate does the driver keep with averageBitRate 0?",
            f"about {ASSUMED_MEGABITS:.0f} Mbit/s",
            "not known of any card",
            no_bit_rate(codec),
        )
        for codec in ("h264", "hevc", "av1")
    ),
)
