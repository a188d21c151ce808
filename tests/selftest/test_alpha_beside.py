"""The question about frames with their alpha beside them finds what is wrong with a stream."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pdum.nvenc import EncoderConfig
from pdum.nvenc._mp4.hevc_units import ALPHA_CHANNEL_INFORMATION, is_message
from pdum.nvenc._selftest import alpha_beside, second_layer
from pdum.nvenc._selftest.pictures import SIZE
from stereo_streams import annex_b, first_layer_alone

from simulator import Simulator
from streams import nal_units

pytestmark = pytest.mark.one_abi


def stream(pair_of: Callable[[EncoderConfig, int], Any] = alpha_beside._pair) -> tuple[bytes, list[bytes]]:
    config = EncoderConfig(width=SIZE[0], height=SIZE[1], codec="hevc", alpha=True)
    return second_layer._encoded(config, pair_of)


def later_alpha(config: EncoderConfig, number: int) -> tuple[Any, Any]:
    return alpha_beside._pair(config, number)[0], alpha_beside._pair(config, number + 6)[1]


def colours_alone(packets: list[bytes]) -> list[bytes]:
    return [*packets[:-1], first_layer_alone(packets[-1])]


def silent(packets: list[bytes]) -> list[bytes]:
    return [without_message(packet) for packet in packets]


def without_message(packet: bytes) -> bytes:
    return annex_b([unit for unit in nal_units(packet) if not is_message(unit, ALPHA_CHANNEL_INFORMATION)])


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (list, alpha_beside.BOTH),
        (colours_alone, "there are packets without alpha"),
        (silent, "the first packet does not say what the alpha means"),
        (lambda packets: packets[:-1], "11 pictures of 12 come back"),
        (
            lambda packets: [packets[0]] * 12,
            "the colours are those of another picture; the alpha is that of another picture",
        ),
    ],
    ids=range(5),
)
def test_what_is_found(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[list[bytes]], list[bytes]], found: str
) -> None:
    with simulator.machine(gpus=["RTX 5090"], backend="codec"):
        header, packets = stream()
        monkeypatch.setattr(second_layer, "_encoded", lambda *_: (header, spoil(packets)))
        bench = SimpleNamespace(gpu_id=0, need_codec=lambda _: None)
        assert alpha_beside.ask(bench).found == found  # type: ignore[arg-type]


def test_the_alpha_is_looked_at(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulator.machine(gpus=["RTX 5090"], backend="codec"):
        bench = SimpleNamespace(gpu_id=0, need_codec=lambda _: None)
        right = alpha_beside.ask(bench)  # type: ignore[arg-type]
        made = stream(later_alpha)
        monkeypatch.setattr(second_layer, "_encoded", lambda *_: made)
        wrong = alpha_beside.ask(bench)  # type: ignore[arg-type]
    assert (right.found, wrong.found) == (alpha_beside.BOTH, "the alpha is that of another picture")
    assert right.numbers["pictures of alpha that FFmpeg decodes"] == 12
