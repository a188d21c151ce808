"""Everything that the driver tells about capabilities and presets, in the forms that recordings of cards have."""

from __future__ import annotations

import ctypes
from typing import Any

from .bench import Bench
from .driver import Refused, Session
from .probe import Answer, NotHere, Probe

FIRST_UNNAMED, LAST_TRIED = 60, 72
TUNINGS = {1: "high_quality", 2: "low_latency", 3: "ultra_low_latency", 4: "lossless", 5: "ultra_high_quality"}
PRESETS = range(1, 8)
GENERATIONS = ((70, "pascal"), (80, "turing"), (89, "ampere"), (90, "ada"), (100, "hopper"))


def generation(compute: tuple[int, int]) -> str:
    number = compute[0] * 10 + compute[1]
    return next((name for below, name in GENERATIONS if number < below), "blackwell")


def capabilities_of(session: Session, codec: str) -> dict[str, int]:
    """Each capability that the driver answers, under its name; behind them those that no interface names yet."""
    members = session.interface.members("NV_ENC_CAPS")
    named = {number: name for name, number in members.items() if not name.endswith("EXPOSED_COUNT")}
    found: dict[str, int] = {}
    for number in sorted(named) + [n for n in range(FIRST_UNNAMED, LAST_TRIED) if n not in named]:
        status, value = session.cap(codec, number)
        if status == 0:
            found[named.get(number, f"unnamed in 13.0: {number}")] = value
    return found


def leaves(value: Any, path: str) -> dict[str, int]:
    """Every scalar of a struct that is not 0, by its path. Unions are left out."""
    found: dict[str, int] = {}
    for name, *_ in value._fields_:
        content = getattr(value, name)
        where = f"{path}.{name}" if path else name
        if isinstance(content, ctypes.Structure):
            found.update(leaves(content, where))
        elif isinstance(content, ctypes.Array):
            found.update({f"{where}[{i}]": int(item) for i, item in enumerate(content) if item})
        elif isinstance(content, int) and content:
            found[where] = content
    return found


def preset_fields(session: Session, codec: str, preset: int, tuning: int) -> dict[str, int]:
    config = session.preset(codec, preset, tuning)
    own = getattr(config.presetCfg.encodeCodecConfig, f"{codec}Config")
    return {**leaves(config, ""), **leaves(own, f"presetCfg.encodeCodecConfig.{codec}Config")}


def capabilities(bench: Bench) -> Answer:
    with bench.session() as session:
        codecs = {codec: capabilities_of(session, codec) for codec in session.codecs()}
    if not codecs:
        raise NotHere("this card lists no codec")
    card = {
        "source": "pdum.nvenc selftest",
        "name": bench.name,
        "driver": bench.driver_version,
        "api": bench.interface.version,
        "os": "Linux",
        "tool": None,
        "generation": generation(bench.compute),
        "notes": ["every number as the driver gave it"],
        "codecs": codecs,
    }
    numbers = {codec: len(found) for codec, found in codecs.items()}
    named = sum(not name.endswith("EXPOSED_COUNT") for name in bench.interface.members("NV_ENC_CAPS"))
    missing = {codec for codec, count in numbers.items() if count < named}
    found = f"not every capability of {', '.join(sorted(missing))}" if missing else "every named capability"
    return Answer(found=found, numbers={"answers": numbers}, recordings={"capabilities": {"cards": [card]}})


def presets(bench: Bench) -> Answer:
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    known = bench.interface.members("NV_ENC_TUNING_INFO")
    with bench.session() as session:
        for codec in session.codecs():
            for preset in PRESETS:
                for tuning in [number for number in TUNINGS if number < known["NV_ENC_TUNING_INFO_COUNT"]]:
                    row = {"codec": codec, "preset": preset, "tuning": tuning, "tuning_name": TUNINGS[tuning]}
                    try:
                        rows.append({**row, "fields": preset_fields(session, codec, preset, tuning)})
                    except Refused:
                        refused.append(f"{codec} P{preset} {TUNINGS[tuning]}")
    recorded = {
        "card": bench.name,
        "driver": bench.driver_version,
        "api": bench.interface.version,
        "zero": "every field that is not listed is 0",
        "presets": rows,
    }
    unexpected = [name for name in refused if not (name.startswith("h264") and name.endswith("ultra_high_quality"))]
    found = f"refused: {', '.join(unexpected)}" if unexpected else "every preset and tuning"
    numbers = {"presets": len(rows), "refused": len(refused)}
    return Answer(found=found, numbers=numbers, recordings={"presets": recorded})


def zero_bit_rates(bench: Bench) -> Answer:
    """Whether presets bring a bit rate of their own."""
    rated = []
    with bench.session() as session:
        for codec in session.codecs():
            for preset in PRESETS:
                rate = session.preset(codec, preset, 1).presetCfg.rcParams.averageBitRate
                if rate:
                    rated.append(f"{codec} P{preset}: {rate}")
    return Answer(found="bit rates: " + ", ".join(rated) if rated else "no bit rate")


PROBES = (
    Probe(
        theme="dumps",
        name="capabilities",
        question="What does the driver answer to each capability, also to those that no interface names?",
        assumed="every named capability",
        source="the header: NV_ENC_CAPS",
        ask=capabilities,
    ),
    Probe(
        theme="dumps",
        name="presets",
        question="What do P1 to P7 set with each tuning and codec?",
        assumed="every preset and tuning",
        source="an RTX 3060 with driver 595",
        ask=presets,
    ),
    Probe(
        theme="dumps",
        name="bit rates of presets",
        question="Which presets have a bit rate of their own?",
        assumed="no bit rate",
        source="an RTX 3060 with driver 595",
        ask=zero_bit_rates,
    ),
)
