"""The simulated encoder compared with the recorded answers of real cards: tests/driver/recordings.

Capabilities are those of the newest driver of the generation, presets those of the recorded card, and each status that
an RTX 3060 was seen to answer is asked of a simulated RTX 3060.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driver_tests.probes import PROBES, Prober

from simulator import Simulator, parse
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
    """Reads the recordings again, independently of the generator: newest driver first, and yes means any number."""
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


def test_values_without_a_recording_are_marked_as_assumed(generator: Any) -> None:
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
    """Every nonzero scalar of a struct, by its path; of a union, the given member."""
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


# Statuses.

# The probes for which the simulator is stricter than the card: its status, and why. With "strict": false it answers
# like the card.
STRICTER: dict[str, tuple[int, str]] = {
    "list_version_next": (15, "the header: a struct has the version of the interface that the client was built for"),
    "open_other_api": (15, "the header: apiVersion is NVENCAPI_VERSION, of the interface that the client speaks"),
    "caps_version_zero": (15, "the header: version is NV_ENC_CAPS_PARAM_VER"),
    "initialize_no_frame_rate": (8, "the header: the rate is a fraction; rate control divides by it"),
    "initialize_unknown_profile": (8, "the programming guide: a profile is one that the codec lists"),
    "initialize_foreign_profile": (8, "the programming guide: a profile is one that the codec lists"),
    "initialize_unknown_rate_control": (8, "the header: a member of NV_ENC_PARAMS_RC_MODE"),
    "initialize_many_b_frames": (8, "the header: NV_ENC_CAPS_NUM_MAX_BFRAMES is the most that may be asked for"),
    "initialize_again": (9, "the programming guide: a running session is changed by nvEncReconfigureEncoder"),
    "unlock_idle_bitstream": (9, "the header: unlocks what nvEncLockBitstream locked"),
    "register_null": (6, "the header: the handle of a resource"),
    "register_no_format": (8, "the header: the buffer's format; nothing could be encoded from it"),
    "register_no_width": (8, "the header: the resource's width; nothing could be encoded from it"),
    "map_again": (16, "the programming guide: a resource is unmapped before it is mapped again"),
    "picture_other_format": (8, "the header: the format of the input buffer"),
    "invalidate_zero": (8, "the header: the timestamp of a picture"),
    "reconfigure_larger": (8, "the header: no larger than maxEncodeWidth x maxEncodeHeight, the first size if not set"),
    "reconfigure_smaller": (8, "the programming guide: a new size starts with an IDR picture and a reset"),
}


def recorded_statuses() -> dict[str, int]:
    rows = json.loads((RECORDINGS / "statuses.json").read_text())["statuses"]
    return {row["name"]: row["status"] for row in rows}


def probe(simulator: Simulator, name: str, **config: Any) -> tuple[int, list[dict[str, str]]]:
    with simulator.machine(check=False, gpus=["RTX 3060"], **config) as machine, Cuda() as cuda:
        prober = Prober(cuda)
        status = PROBES[name](prober)
        violations = machine.violations()
        prober.api.nvEncDestroyEncoder(prober.session.handle)
    return status, violations


def test_every_recorded_status_is_asked_for() -> None:
    assert set(PROBES) == set(recorded_statuses())


@pytest.mark.parametrize("name", PROBES)
def test_the_simulated_card_answers_as_the_recorded_one(simulator: Simulator, name: str) -> None:
    recorded = recorded_statuses()[name]
    status, violations = probe(simulator, name)
    if name in STRICTER:
        assert (status, recorded) == (STRICTER[name][0], 0), "stricter than a card is only what the card lets pass"
        tried = name == "list_version_next"  # a client may try whether a newer interface is there
        assert [bool(violation["message"]) for violation in violations] == [True] * (not tried)
    else:
        assert status == recorded


@pytest.mark.parametrize("name", PROBES)
def test_without_strictness_it_answers_as_the_card_without_exception(simulator: Simulator, name: str) -> None:
    assert probe(simulator, name, strict=False) == (recorded_statuses()[name], [])


# Settings that documentation forbids and no card is known to refuse: (change of the configuration, its message).
FORBIDDEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "lookahead": (lambda config: deep_lookahead(config, 28), "more than 31"),
    "intra refresh": (lambda config: intra_refresh(config, 250), "unless the GOP is infinite"),
}


def deep_lookahead(config: Any, depth: int) -> None:
    config.frameIntervalP = 5
    config.rcParams.enableLookahead, config.rcParams.lookaheadDepth = 1, depth


def intra_refresh(config: Any, gop: int) -> None:
    config.gopLength = gop
    config.encodeCodecConfig.h264Config.enableIntraRefresh = 1
    config.encodeCodecConfig.h264Config.intraRefreshPeriod = 30
    config.encodeCodecConfig.h264Config.intraRefreshCnt = 5


@pytest.mark.parametrize("what", FORBIDDEN)
def test_settings_that_documentation_forbids_are_refused_only_if_strict(simulator: Simulator, what: str) -> None:
    change, message = FORBIDDEN[what]
    for strict in (True, False):
        with simulator.machine(check=False, gpus=["RTX 3060"], strict=strict) as machine, Cuda() as cuda:
            prober = Prober(cuda)
            params = prober.params()
            change(params.config)
            assert prober.initialize(params) == (8 if strict else 0)
            assert [message in violation["message"] for violation in machine.violations()] == [True] * strict
            prober.session.destroy()


@pytest.mark.parametrize("change", [lambda c: deep_lookahead(c, 27), lambda c: intra_refresh(c, 0xFFFFFFFF)])
def test_the_same_inside_the_bounds_is_taken(simulator: Simulator, change: Callable[[Any], None]) -> None:
    with simulator.machine(gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda)
        params = prober.params()
        change(params.config)
        assert prober.initialize(params) == 0
        prober.session.destroy()


@pytest.mark.parametrize(("before", "after", "taken"), [(2, 1, False), (1, 0, True), (1, 1, True), (0, 1, False)])
def test_a_running_session_changes_its_rate_control_as_the_capabilities_say(
    simulator: Simulator, before: int, after: int, taken: bool
) -> None:
    with simulator.machine(check=False, gpus=["RTX 3060"]) as machine, Cuda() as cuda:
        prober = Prober(cuda)
        params = prober.params()
        params.config.rcParams.rateControlMode = before
        assert prober.initialize(params) == 0
        change = prober.struct("NV_ENC_RECONFIGURE_PARAMS")
        params.config.rcParams.rateControlMode = after
        change.reInitEncodeParams = params
        status = prober.ask("nvEncReconfigureEncoder", ctypes.byref(change))
        assert (status == 0, machine.violations() == []) == (taken, taken)
        prober.session.destroy()


# Lists and numbers.


def listed(prober: Prober, call: str, codec: str, kind: str) -> list[bytes]:
    items = (prober.abi.class_of(kind) * 32)()
    count = ctypes.c_uint32()
    assert prober.ask(call, prober.codec(codec), items, 32, ctypes.byref(count)) == 0
    return [bytes(item) if kind == "GUID" else int(item) for item in items[: count.value]]  # type: ignore[misc]


PROFILES = {
    "H264": ["H264_PROFILE_BASELINE", "H264_PROFILE_MAIN", "H264_PROFILE_HIGH", "H264_PROFILE_STEREO",
             "H264_PROFILE_HIGH_444", "CODEC_PROFILE_AUTOSELECT"],
    "HEVC": ["CODEC_PROFILE_AUTOSELECT", "HEVC_PROFILE_MAIN", "HEVC_PROFILE_MAIN10", "HEVC_PROFILE_FREXT"],
}  # fmt: skip
FORMATS = {
    "H264": ["NV12", "YV12", "IYUV", "YUV444", "ARGB", "ABGR", "AYUV", "ARGB10", "ABGR10"],
    "HEVC": ["NV12", "YV12", "IYUV", "YUV444", "YUV420_10BIT", "YUV444_10BIT", "ARGB", "ABGR", "AYUV", "ARGB10",
             "ABGR10"],
}  # fmt: skip


@pytest.mark.parametrize("codec", PROFILES)
def test_profiles_and_formats_come_in_the_recorded_order(simulator: Simulator, codec: str) -> None:
    with simulator.machine(gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda)
        profiles = [bytes(prober.abi.guid(f"NV_ENC_{name}_GUID")) for name in PROFILES[codec]]
        assert listed(prober, "nvEncGetEncodeProfileGUIDs", codec, "GUID") == profiles
        formats = [getattr(prober.abi, f"NV_ENC_BUFFER_FORMAT_{name}") for name in FORMATS[codec]]
        assert listed(prober, "nvEncGetInputFormats", codec, "NV_ENC_BUFFER_FORMAT") == formats
        prober.session.destroy()


@pytest.mark.parametrize(
    ("pixels", "width", "pitch"),
    [("NV12", 145, 192), ("NV12", 320, 320), ("YUV444", 1000, 1024), ("YV12", 320, 512), ("IYUV", 513, 1024),
     ("ARGB", 145, 1024), ("AYUV", 1920, 7680), ("ABGR", 4096, 16384)],
)  # fmt: skip
def test_an_input_buffer_has_the_recorded_pitch(simulator: Simulator, pixels: str, width: int, pitch: int) -> None:
    with simulator.machine(check=False, gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda).started()
        kind = getattr(prober.abi, f"NV_ENC_BUFFER_FORMAT_{pixels}")
        params = prober.struct("NV_ENC_CREATE_INPUT_BUFFER", width=width, height=64, bufferFmt=kind)
        assert prober.ask("nvEncCreateInputBuffer", ctypes.byref(params)) == 0
        lock = prober.struct("NV_ENC_LOCK_INPUT_BUFFER", inputBuffer=params.inputBuffer)
        assert prober.ask("nvEncLockInputBuffer", ctypes.byref(lock)) == 0
        assert lock.pitch == pitch
        prober.session.destroy()


def test_a_list_with_room_for_one_gets_one(simulator: Simulator) -> None:
    with simulator.machine(gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda)
        guids, count = (prober.abi.class_of("GUID") * 1)(), ctypes.c_uint32()
        assert prober.ask("nvEncGetEncodeGUIDs", guids, 1, ctypes.byref(count)) == 0
        assert (bytes(guids[0]), count.value) == (bytes(prober.codec("H264")), 1)
        untouched = ctypes.c_uint32(77)
        prober.ask("nvEncGetEncodePresetCount", prober.codec("AV1"), ctypes.byref(untouched))
        assert untouched.value == 77
        prober.session.destroy()


def test_the_last_error_of_a_new_session(simulator: Simulator) -> None:
    with simulator.machine(check=False, gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda)
        assert prober.api.error(prober.session.handle) == "Success."
        prober.caps(number=61)
        told = prober.api.error(prober.session.handle)
        prober.caps(number=1)
        assert prober.api.error(prober.session.handle) == told != "Success."
        prober.session.destroy()


def test_the_first_picture_comes_back_as_recorded(simulator: Simulator) -> None:
    with simulator.machine(check=False, gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda).started()
        source, output = prober.surface()
        prober.session.encode(source, output, 11, inputDuration=5, frameIdx=7)
        locked = prober.session.lock(output)
        assert (locked.frameIdx, locked.pictureType, locked.pictureStruct) == (0, 3, 1)
        assert (locked.numSlices, locked.hwEncodeStatus, locked.temporalId) == (1, 2, 0)
        assert (locked.outputTimeStamp, locked.outputDuration) == (11, 5)
        (unit,) = parse(ctypes.string_at(locked.bitstreamBufferPtr, locked.bitstreamSizeInBytes))
        assert unit.units == (7, 8, 5)
        prober.session.destroy()


def test_without_b_frames_or_p_pictures_an_idr_is_followed_by_intra_pictures(simulator: Simulator) -> None:
    with simulator.machine(check=False, gpus=["RTX 3060"]), Cuda() as cuda:
        prober = Prober(cuda)
        assert prober.configured(frameIntervalP=0) == 0
        types = []
        for _ in range(3):
            source, output = prober.surface()
            prober.session.encode(source, output)
            (unit,) = parse(prober.session.take(output))
            types.append(unit.pic_type)
        assert types == ["IDR", "I", "I"]
        prober.session.destroy()
