"""What the self-test finds on simulated cards: what is assumed, and exactly the points in which one is different."""

from __future__ import annotations

from typing import Any

import pytest

from pdum.nvenc import EncoderConfig
from pdum.nvenc._selftest.controls import CONTROLS
from pdum.nvenc._selftest.questions import ALL, BY_NAME
from pdum.nvenc._selftest.tool_controls import TOOL_CONTROLS
from selftest.conftest import Report, Run

# Kinds of memory that NVENC is assumed to refuse. A simulated driver that has only memory of one kind lets them pass,
# and tells so: none of its memory is fit for CUDA's legacy IPC.
REFUSED_MEMORY = {"memory: pool", "memory: virtual", "memory: managed"}


LACKING = {"controls: layers of HEVC", "controls: layers of AV1", "controls: monochrome", "controls: interlaced"}
"""What these cards cannot do: it came later, is gone, or is on no recorded card."""

SPEED = "engines: speed of several"
"""The processor does the work of all simulated engines, and decides what comes out unless they are very slow."""


LENIENT = ("outputs: several locked", "4 of 4 at once")
"""No chip is known to allow it, and a simulated driver may."""


NO_BLOCKS = {f"beyond packets: blocks, {codec}" for codec in ("h264", "hevc", "av1")}
"""No recorded card has statistics of blocks."""


def unexpected(report: Report) -> dict[str, str]:
    plain = report.lines.get("memory: plain", {"numbers": {}})
    knows_kinds = plain["numbers"].get("legacy IPC capable") == 1
    left_out = set() if knows_kinds else REFUSED_MEMORY
    found = report.named("different", "failed", "not asked")
    return {name: what for name, what in found.items() if name not in {*left_out, SPEED} and (name, what) != LENIENT}


def test_a_simulated_card_with_av1_and_two_engines_does_what_is_assumed(rtx_4090: Report) -> None:
    assert unexpected(rtx_4090) == {}
    assert set(rtx_4090.lines) == set(BY_NAME)
    assert set(rtx_4090.named("not on this card")) - REFUSED_MEMORY - NO_BLOCKS == LACKING


def test_so_does_the_recorded_card_without_av1(rtx_3060: Report) -> None:
    assert unexpected(rtx_3060) == {}
    not_here = set(rtx_3060.named("not on this card")) - REFUSED_MEMORY - NO_BLOCKS
    assert SPEED in not_here
    assert all("av1" in name.lower() or "engines" in name for name in not_here - LACKING), not_here


# What the questions do on purpose although the documentation forbids it.
DELIBERATE = (
    "no end of stream",  # outputs: closed without the end
    "buffer(s) alive",
    "resource(s) mapped",
    "resource(s) registered",
    "are more than 31",  # structure: lookahead over 31
    "cannot change rateControlMode",  # live changes
    "the size may grow",
)
# Ordering: overwritten while held. The simulated engine looks at held pictures again only now and then.
SOMETIMES = ("was changed while picture", "while another one is locked")


def test_it_breaks_no_rule_but_those_that_it_asks_about(rtx_3060: Report) -> None:
    others = [one for one in rtx_3060.violations if not any(part in one for part in DELIBERATE + SOMETIMES)]
    assert others == []
    assert [part for part in DELIBERATE if not any(part in one for one in rtx_3060.violations)] == []


def test_so_does_a_professional_card_on_the_oldest_interface(run: Run) -> None:
    report = run({"gpus": ["L4"]}, "dumps", "memory", "structure", "live changes", "engines: session limit", abi="12.1")
    assert unexpected(report) == {}
    assert report.lines["engines: session limit"]["found"] == "no limit up to 20"
    assert report.lines["structure: ultra high quality, hevc"]["verdict"] == "not on this card"


def test_two_engines_are_faster_than_one(run: Run) -> None:
    report = run({"gpus": [{"name": "RTX 4090", "fps_1080p": 4}]}, SPEED)
    assert report.named("as assumed") == {SPEED: "sessions share out over the engines"}
    assert report.code == 0
    assert "Driver 580.95.05, interface 13.1" in report.page


DIFFERENCES: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, str]]] = {
    "forced IDR": ({"differs": ["forced_idr_keeps_period"]}, ("outputs",), {"outputs: forced IDR": "it goes on"}),
    "final end": (
        {"differs": ["end_is_final"]},
        ("outputs",),
        {"outputs: after the end": "nvEncEncodePicture answered NV_ENC_ERR_INVALID_CALL (9)"},
    ),
    "several locks": ({"strict": False}, ("outputs: several locked",), {LENIENT[0]: LENIENT[1]}),
    "deep lookahead": (
        {"strict": False},
        ("structure",),
        {
            "structure: lookahead over 31": "taken: lookahead 31, lookahead 32, lookahead 40, with 2 B-frames 29, "
            "with 2 B-frames 30"
        },
    ),
    "session limit": (
        {"gpus": [{"name": "RTX 3060", "session_limit": 3}], "session_limit_status": 1},
        ("engines: session limit",),
        {"engines: session limit": "3 sessions; the next is refused by nvEncOpenEncodeSessionEx with 1"},
    ),
    "streams": (
        {"faults": [{"call": "nvEncSetIOCudaStreams", "nth": 2, "status": 22}]},
        ("ordering",),
        {"ordering: overwritten on the stream": "nvEncSetIOCudaStreams answered NV_ENC_ERR_UNIMPLEMENTED (22)"},
    ),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_card_that_differs_in_one_point_shows_exactly_that(run: Run, what: str) -> None:
    config, asked, expected = DIFFERENCES[what]
    report = run({"gpus": ["RTX 3060"], **config}, *asked)
    lenient = set() if LENIENT[0] in expected else {LENIENT}
    assert set(report.named("different", "failed").items()) - lenient == set(expected.items())
    assert report.code == 1
    (name,) = expected
    assert f"**{name}** (different)" in report.page, "what is worth reporting comes first"


def test_a_card_without_an_encoder_goes_as_far_as_it_goes(run: Run) -> None:
    report = run({"gpus": ["H100"]})
    assert report.code == 4
    assert set(report.named("not on this card")) == set(BY_NAME)
    assert "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)" in report.content["card"]["no_encoder"]
    kinds = ("plain", "pool", "virtual")
    fit = {kind: report.lines[f"memory: {kind}"]["numbers"]["legacy IPC capable"] for kind in kinds}
    assert fit == {"plain": 1, "pool": 0, "virtual": 0}, "CUDA is there all the same"
    assert "cannot encode" in report.page
    assert report.content["recordings"] == {}


def test_a_machine_without_a_driver_says_so(run: Run) -> None:
    report = run(None)
    assert report.code == 4
    assert "libcuda" in report.content["unusable"] or "libnvidia-encode" in report.content["unusable"]
    assert set(report.named("not on this card")) == set(BY_NAME)


def test_without_pyav_what_needs_a_decoder_is_not_asked(run: Run, tmp_path: Any) -> None:
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')\n")
    report = run({"gpus": ["RTX 3060"]}, "ordering", "controls: qp", "controls: vbv_size", PYTHONPATH=str(tmp_path))
    assert set(report.named("not asked")) == {name for name in report.lines if name != "controls: vbv_size"}
    assert all("PyAV is missing" in found for found in report.named("not asked").values())
    assert report.lines["controls: vbv_size"]["verdict"] == "as assumed"


def test_time_that_is_over_ends_the_questions(run: Run) -> None:
    report = run({"gpus": ["RTX 3060"]}, seconds=0)
    assert set(report.named("not asked").values()) == {"the time ran out"}
    assert set(report.lines) == set(BY_NAME)


def test_only_known_themes_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    from pdum.nvenc._cli import main

    assert main(["selftest", "--only", "memry"]) == 2
    assert "memory" in capsys.readouterr().err


# Fields that every stream of the self-test has, or that no card makes a difference to.
NO_CONTROL = {"gpu_id", "cuda_context"}


def test_each_field_of_the_configuration_has_a_line() -> None:
    tried = {name for control in (*CONTROLS, *TOOL_CONTROLS) for name in (*control.given, *control.base)}
    assert tried | {"codec"} | NO_CONTROL >= set(EncoderConfig.names())
    assert not tried & NO_CONTROL


def test_names_of_lines_are_unique_and_questions_are_questions() -> None:
    assert len(BY_NAME) == len(ALL)
    assert [probe.name for probe in ALL if not probe.question.endswith("?")] == []
