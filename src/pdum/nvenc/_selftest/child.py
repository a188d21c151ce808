"""Asks questions in a process of its own, which the driver may take down with it.

    python -m pdum.nvenc._selftest.child GPU < names, one a line

Each event is a line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any, TextIO

from .. import _nvenc
from .._encoders.nvenc import forced_abi
from .._errors import NvencError
from .bench import Bench
from .cuda import CudaRefused
from .driver import Refused
from .probe import AS_ASSUMED, DIFFERENT, FAILED, NOT_ASKED, NOT_HERE, Answer, Line, NotAsked, NotHere, Probe, line_of
from .questions import BY_NAME


def main() -> int:
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no event
    names = [line.strip() for line in sys.stdin if line.strip()]
    try:
        bench = Bench(int(sys.argv[1]), _nvenc.chosen_abi(forced_abi()))
    except CudaRefused as error:
        tell(events, event="unusable", reason=f"GPU {sys.argv[1]} is not there or cannot be used: {error}")
        return 0
    except (NvencError, Refused, OSError) as error:
        tell(events, event="unusable", reason=str(error))
        return 0
    tell(events, event="card", card=card_of(bench))
    for name in names:
        tell(events, event="asking", name=name)
        line, recordings = ask(bench, BY_NAME[name])
        tell(events, event="answer", name=name, line=asdict(line), recordings=recordings)
    bench.cuda.close()
    return 0


def tell(events: TextIO, **content: Any) -> None:
    events.write(json.dumps(content) + "\n")
    events.flush()


def card_of(bench: Bench) -> dict[str, Any]:
    """What the report says of the GPU: nothing that tells one card from another of its kind."""
    refusal = bench.refusal()
    return {
        "name": bench.name,
        "driver": bench.driver_version,
        "compute": list(bench.compute),
        "api": bench.interface.version,
        "codecs": [] if refusal else list(bench.codecs),
        "no_encoder": None if refusal is None else str(refusal),
    }


def ask(bench: Bench, probe: Probe) -> tuple[Line, dict[str, Any]]:
    """The line of a question, and the recordings that came with it. An exception is an answer, too."""
    try:
        answer = _answer(bench, probe)
        assumed = probe.assumed if isinstance(probe.assumed, str) else probe.assumed(bench)
    except NotHere as reason:
        return line_of(probe, str(reason), NOT_HERE, numbers=reason.numbers), {}
    except NotAsked as reason:
        return line_of(probe, str(reason), NOT_ASKED), {}
    except Exception as error:
        return line_of(probe, f"{type(error).__name__}: {error}", FAILED), {}
    verdict = AS_ASSUMED if answer.found == assumed else DIFFERENT
    return line_of(probe, answer.found, verdict, assumed, answer.numbers), answer.recordings


def _answer(bench: Bench, probe: Probe) -> Answer:
    try:
        return probe.ask(bench)
    except Refused as refused:  # which is what the card answers
        return Answer(found=str(refused))


if __name__ == "__main__":
    sys.exit(main())
