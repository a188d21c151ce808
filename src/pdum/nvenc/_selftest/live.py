"""What a running session may change."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

from .bench import Bench
from .driver import Change, Refused, Settings
from .pictures import SIZE, decode, nv12
from .probe import Answer, Probe

TAKEN, REFUSED = "it is taken, and pictures follow", "it is refused"
CONSTANT_QUANTISER, VARIABLE, CONSTANT = 0, 1, 2
BEFORE, AFTER = 3, 3


@dataclass(frozen=True, kw_only=True)
class Live:
    """One change of a session that started at 2 Mbit/s of variable bit rate."""

    name: str
    change: Change
    capability: str = ""
    """The one that allows it. Empty: every card is assumed to take it."""
    never: bool = False
    """The interface forbids it."""
    restarts: bool = False
    """It starts with an IDR picture and a reset."""


def start(settings: Settings) -> None:
    settings.structure(gop=250)
    settings.rate.rateControlMode = VARIABLE
    settings.rate.averageBitRate, settings.rate.maxBitRate = 2_000_000, 3_000_000
    settings.params.maxEncodeWidth, settings.params.maxEncodeHeight = SIZE[0] * 2, SIZE[1] * 2


def _rate(**fields: int) -> Change:
    def change(settings: Settings) -> None:
        for name, value in fields.items():
            setattr(settings.rate, name, value)

    return change


def _params(**fields: int) -> Change:
    def change(settings: Settings) -> None:
        for name, value in fields.items():
            setattr(settings.params, name, value)

    return change


def _size(width: int, height: int) -> Change:
    return _params(encodeWidth=width, encodeHeight=height, darWidth=width, darHeight=height)


def _bframes(settings: Settings) -> None:
    settings.config.frameIntervalP = 3


def _group(settings: Settings) -> None:
    settings.config.gopLength = settings.codec_config.idrPeriod = 12


CHANGES = (
    Live(name="nothing", change=lambda _: None),
    Live(
        name="bit rate",
        change=_rate(averageBitRate=1_000_000, maxBitRate=1_500_000),
        capability="SUPPORT_DYN_BITRATE_CHANGE",
    ),
    Live(
        name="buffer size",
        change=_rate(vbvBufferSize=400_000, vbvInitialDelay=200_000),
        capability="SUPPORT_CUSTOM_VBV_BUF_SIZE",
    ),
    Live(name="frame rate", change=_params(frameRateNum=60)),
    Live(name="constant quality", change=_rate(targetQuality=30)),
    Live(name="quantiser bounds", change=_rate(enableMinQP=1, enableMaxQP=1)),
    Live(name="spatial AQ", change=_rate(enableAQ=1, aqStrength=8)),
    Live(name="temporal AQ", change=_rate(enableTemporalAQ=1), capability="SUPPORT_TEMPORAL_AQ"),
    Live(name="multipass", change=_rate(multiPass=1)),
    Live(
        name="variable to constant rate",
        change=_rate(rateControlMode=CONSTANT),
        capability="SUPPORT_DYN_RCMODE_CHANGE",
    ),
    Live(
        name="to constant quantisers",
        change=_rate(rateControlMode=CONSTANT_QUANTISER),
        capability="SUPPORT_DYN_FORCE_CONSTQP",
    ),
    Live(name="group length", change=_group),
    Live(name="B-frames", change=_bframes, never=True),
    Live(name="lookahead", change=_rate(enableLookahead=1, lookaheadDepth=8), never=True),
    Live(
        name="a smaller size",
        change=_size(SIZE[0] - 64, SIZE[1] - 32),
        capability="SUPPORT_DYN_RES_CHANGE",
        restarts=True,
    ),
    Live(
        name="a larger size",
        change=_size(SIZE[0] + 64, SIZE[1] + 32),
        capability="SUPPORT_DYN_RES_CHANGE",
        restarts=True,
    ),
    Live(name="beyond the largest size", change=_size(SIZE[0] * 3, SIZE[1] * 3), never=True, restarts=True),
)


def changed(live: Live) -> Callable[[Bench], Answer]:
    def ask(bench: Bench) -> Answer:
        codec = bench.best_codec()
        with bench.encoder(codec, start) as encoder:
            taken = []
            for number in range(BEFORE):
                encoder.add_surface(nv12(number))
                encoder.submit(number)
                taken.append(encoder.take(number))
            live.change(encoder.settings)
            params = encoder.session.interface.struct("NV_ENC_RECONFIGURE_PARAMS")
            params.reInitEncodeParams = encoder.settings.params
            params.resetEncoder = params.forceIDR = int(live.restarts)
            status = encoder.session.ask("nvEncReconfigureEncoder", ctypes.byref(params))
            if status:
                return Answer(found=REFUSED, numbers={"status": status})
            encoder.size = (encoder.settings.params.encodeWidth, encoder.settings.params.encodeHeight)
            try:
                for number in range(BEFORE, BEFORE + AFTER):
                    encoder.add_surface(nv12(number, encoder.size))
                    encoder.submit(number)
                    taken.append(encoder.take(number))
            except Refused as refused:
                return Answer(found=f"it is taken, and then {refused.call} is refused ({refused.status})")
        if live.restarts:
            shown = {(one.width, one.height) for one in decode(codec, [unit.data for unit in taken[BEFORE:]])}
            if shown != {encoder.size}:
                return Answer(found=f"it is taken, and the pictures' size is {sorted(shown)}")
        return Answer(found=TAKEN, numbers={"types": [unit.pic_type for unit in taken]})

    return ask


def assumed(live: Live) -> Callable[[Bench], str]:
    def of(bench: Bench) -> str:
        lacks = live.capability and not bench.cap(bench.best_codec(), live.capability)
        return REFUSED if live.never or lacks else TAKEN

    return of


PROBES = tuple(
    Probe(
        theme="live changes",
        name=live.name,
        question="Does a running session take this change?",
        assumed=assumed(live),
        source=f"NV_ENC_CAPS_{live.capability}" if live.capability else "NVENC's programming guide",
        ask=changed(live),
    )
    for live in CHANGES
)
