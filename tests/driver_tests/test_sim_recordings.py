"""The simulated encoder held against what real cards were recorded to answer: tests/driver/recordings.

Capabilities are those of the newest driver of the generation, presets those of the recorded card, and each status that
an RTX 3060 was seen to answer is asked of a simulated RTX 3060.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator
from simulator.raw import Api, Cuda, Session

RECORDINGS = Path(__file__).parents[1] / "driver" / "recordings"
GPUS = {"pascal": "GTX 1080", "turing": "T4", "ampere": "RTX 3060", "ada": "RTX 4090", "blackwell": "RTX 5070 Ti"}
CODECS = ("h264", "hevc", "av1")

pytestmark = pytest.mark.one_abi


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


@pytest.fixture(scope="module")
def generator() -> Any:
    """The program that turns the recordings into code, as a module."""
    spec = importlib.util.spec_from_file_location("recordings_generate", RECORDINGS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def recorded_cards() -> list[dict[str, Any]]:
    files = sorted((RECORDINGS / "capabilities").glob("*.json"))
    return [card for file in files for card in json.loads(file.read_text())["cards"] if "assumed" not in card]


def ask(session: Session, codec: str, number: int) -> tuple[int, int]:
    """Status and value of one capability by its number."""
    params = session.abi.struct("NV_ENC_CAPS_PARAM", capsToQuery=number)
    value = ctypes.c_int()
    guid = session.abi.guid(f"NV_ENC_CODEC_{codec.upper()}_GUID")
    status = session.api.nvEncGetEncodeCaps(session.handle, guid, ctypes.byref(params), ctypes.byref(value))
    return int(status), value.value


# Capabilities.


@pytest.mark.parametrize("generation", GPUS)
def test_a_gpu_has_the_capabilities_of_its_generations_newest_recording(simulator: Simulator, generation: str) -> None:
    """Read from the recordings once more, without the generator's help: newest driver first, a yes is any number."""
    of_generation = [card for card in recorded_cards() if card["generation"] == generation]
    newest_first = sorted(
        of_generation, key=lambda card: [int(p) for p in (card["driver"] or "0").split(".")], reverse=True
    )
    wrong = []
    with simulator.machine(gpus=[GPUS[generation]]), Cuda() as cuda:
        session = Api().open(cuda.context)
        for codec in CODECS:
            told: dict[str, int | bool] = {}
            for card in reversed(newest_first):
                told.update(card["codecs"].get(codec, {}))
            told.pop("NV_ENC_CAPS_ASYNC_ENCODE_SUPPORT", None)  # most dumps are of Windows
            told.pop("NV_ENC_CAPS_NUM_ENCODER_ENGINES", None)  # the board's
            for name, recorded in told.items():
                number = 60 if name.endswith("60") else getattr(session.abi, name)
                status, value = ask(session, codec, number)
                expected = bool(value) == recorded if isinstance(recorded, bool) else value == recorded
                if status or not expected:
                    wrong.append((codec, name, recorded, value))
        session.destroy()
    assert wrong == []
    assert newest_first


def test_what_no_card_of_a_generation_told_is_marked_as_assumed(generator: Any) -> None:
    answers = generator.capabilities()
    own = {
        (card["generation"], codec, name.removeprefix("NV_ENC_CAPS_"))
        for card in recorded_cards()
        for codec, told in card["codecs"].items()
        for name in told
        if name != "NV_ENC_CAPS_ASYNC_ENCODE_SUPPORT"
    }
    for key, answer in answers.items():
        if key[2] != "ASYNC_ENCODE_SUPPORT":
            assert answer.assumed == (key not in own), key
    assert not any(answer.assumed for key, answer in answers.items() if key[0] == "ampere")
    assert any(answer.assumed for key, answer in answers.items() if key[1] == "av1")


def test_capabilities_end_after_the_last_that_a_card_answers(simulator: Simulator) -> None:
    with simulator.machine(gpus=["RTX 3060"]), Cuda() as cuda:
        session = Api().open(cuda.context)
        assert [ask(session, codec, 60) for codec in ("h264", "hevc")] == [(0, 0), (0, 1)]
        assert ask(session, "h264", 61)[0] == session.abi.NV_ENC_ERR_INVALID_PARAM
        session.destroy()


# Boards.


def boards() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((RECORDINGS / "boards.json").read_text())["boards"]
    return rows


@pytest.mark.parametrize("board", boards(), ids=lambda board: board["name"])
def test_a_board_has_its_engines_and_sessions(simulator: Simulator, board: dict[str, Any]) -> None:
    with simulator.machine(gpus=[board["name"]]), Cuda() as cuda:
        api = Api()
        if board["engines"] == 0:
            params = api.abi.struct("NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS", deviceType=1, device=cuda.context)
            params.apiVersion = api.abi.NVENCAPI_VERSION
            handle = ctypes.c_void_p()
            status = api.nvEncOpenEncodeSessionEx(ctypes.byref(params), ctypes.byref(handle))
            assert status == api.abi.NV_ENC_ERR_UNSUPPORTED_DEVICE
            return
        sessions = [api.open(cuda.context) for _ in range(board["sessions"] or 20)]
        assert ask(sessions[0], "h264", api.abi.NV_ENC_CAPS_NUM_ENCODER_ENGINES) == (0, board["engines"])
        if board["sessions"]:
            with pytest.raises(Exception, match="no more than 12"):
                api.open(cuda.context)
        for session in sessions:
            session.destroy()


# Presets.


def leaves(value: Any, path: str = "") -> dict[str, int]:
    """Every scalar of a struct that is not zero, by its path; of a union the member that is asked for."""
    found: dict[str, int] = {}
    for name, *_ in value._fields_:
        content = getattr(value, name)
        where = f"{path}.{name}" if path else name
        if isinstance(content, ctypes.Structure):
            found |= leaves(content, where)
        elif isinstance(content, ctypes.Array):
            found |= {f"{where}[{i}]": int(item) for i, item in enumerate(content) if item}
        elif isinstance(content, int) and content:
            found[where] = content
    return found


def recorded_presets() -> list[dict[str, Any]]:
    file = json.loads((RECORDINGS / "presets" / "rtx-3060-595.json").read_text())
    presets: list[dict[str, Any]] = file["presets"]
    return presets


def test_every_preset_is_the_recorded_one_field_for_field(simulator: Simulator) -> None:
    presets = recorded_presets()
    assert len(presets) == 2 * 7 * 4
    with simulator.machine(gpus=["RTX 3060"]), Cuda() as cuda:
        session = Api().open(cuda.context)
        for preset in presets:
            codec = preset["codec"]
            config = session.preset(codec.upper(), f"P{preset['preset']}", preset["tuning"])
            member = f"presetCfg.encodeCodecConfig.{codec}Config"
            got = leaves(config) | leaves(getattr(config.presetCfg.encodeCodecConfig, f"{codec}Config"), member)
            assert got == preset["fields"], (codec, preset["preset"], preset["tuning"])
        session.destroy()
