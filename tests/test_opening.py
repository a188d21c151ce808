"""An encoder on the hardware or the processor, the notices about it, and frames that are copied to the host for it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frames import CudaFrame, OnlyDlpack
from pdum.nvenc import (
    DriverNotFound,
    DriverTooOld,
    EncoderConfig,
    InvalidConfig,
    InvalidFrame,
    NoEncoder,
    NvencEncoder,
    NvencError,
    SoftwareEncoder,
)
from pdum.nvenc._encoders import opening
from pdum.nvenc._encoders.host_frames import channels_last_bytes, on_host, with_known_type
from pdum.nvenc._encoders.notices import software_notice
from pdum.nvenc._encoders.opening import open_encoder

from simulator import Simulator

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 160, 64
CONFIG = EncoderConfig(width=WIDTH, height=HEIGHT, format="rgb", preset="p1")
FAST = {"name": "RTX 4090", "fps_1080p": 0}
WITHOUT_ENCODER = {"name": "H200"}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_said", set())


def test_hardware_is_taken_if_there_is_some(simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        encoder, notices = open_encoder(CONFIG)
        assert isinstance(encoder, NvencEncoder)
        assert notices == ()
        encoder.close()


def test_else_the_processor_and_it_is_told_once(simulator: Simulator) -> None:
    with simulator.machine(gpus=WITHOUT_ENCODER):
        encoder, (notice,) = open_encoder(CONFIG)
        assert isinstance(encoder, SoftwareEncoder)
        assert notice == software_notice(NoEncoder(""))
        assert open_encoder(CONFIG)[1] == ()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NoEncoder("long"), "no NVIDIA encoder found"),
        (DriverNotFound("long"), "no NVIDIA driver found"),
        (DriverTooOld("long"), "the NVIDIA driver is too old"),
        (None, "the settings allow no NVIDIA encoder"),
    ],
)
def test_the_notice_is_a_short_line_with_the_reason(error: NvencError | None, reason: str) -> None:
    notice = software_notice(error)
    assert notice == f"Encoding in software, which is much slower: {reason}. Run pdum-nvenc doctor for details."
    assert len(notice) < 120


def test_settings_that_are_left_out_are_told_once(simulator: Simulator) -> None:
    config = CONFIG.replaced(multipass="full")
    with simulator.machine(gpus=FAST):
        _, (notice,) = open_encoder(config, "software")
        assert notice == "Ignored by software encoding: multipass."
        assert open_encoder(config, "software")[1] == ()


def test_the_processor_may_have_a_configuration_of_its_own(simulator: Simulator) -> None:
    def cq(software: EncoderConfig | None = None) -> float | None:
        encoder, _ = open_encoder(CONFIG.replaced(cq=30), software=software)
        assert isinstance(encoder, (NvencEncoder, SoftwareEncoder))
        encoder.close()
        assert encoder.config is not None
        return encoder.config.cq

    software = CONFIG.replaced(cq=20)
    with simulator.machine(gpus=FAST):
        assert cq(software=software) == 30
    with simulator.machine(gpus=WITHOUT_ENCODER):
        assert (cq(software=software), cq()) == (20, 30)


def test_who_asks_for_hardware_gets_no_other(simulator: Simulator) -> None:
    with simulator.machine(gpus=WITHOUT_ENCODER), pytest.raises(NoEncoder):
        open_encoder(CONFIG, "nvenc")
    with pytest.raises(InvalidConfig, match=r"backend.*auto"):
        open_encoder(CONFIG, "hardware")


def test_hardware_that_refuses_the_settings_is_not_replaced(simulator: Simulator) -> None:
    large = CONFIG.replaced(width=16384, height=16384)
    with simulator.machine(gpus=FAST), pytest.raises(InvalidConfig, match="4096"):
        open_encoder(large)


# Frames on the host


def picture(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def encoded(frame: Any) -> bytes:
    with SoftwareEncoder(CONFIG) as encoder:
        return encoder.encode(frame) + encoder.flush()


def test_software_takes_every_rgb_frame_that_the_hardware_takes() -> None:
    plain = picture()
    wanted = encoded(plain)
    first = plain.transpose(2, 0, 1)
    rgba = np.dstack([plain, np.full((HEIGHT, WIDTH, 1), 9, np.uint8)])
    floats = plain.astype(np.float32) / 255
    for frame in (first, first.copy(), rgba, rgba.transpose(2, 0, 1), floats, floats.transpose(2, 0, 1)):
        assert encoded(frame) == wanted
    assert encoded(plain[::-1, ::-1][::-1, ::-1]) == wanted
    assert encoded(Image.fromarray(plain)) == wanted
    assert encoded(OnlyDlpack(plain)) == wanted


def test_floats_are_clamped_and_nothing_is_black() -> None:
    values = np.array([-1, 0, 0.5, 1, 2, np.inf, -np.inf, np.nan], np.float32)
    picture = np.broadcast_to(values[:, None, None], (8, 4, 3))
    assert channels_last_bytes(picture)[:, 0, 0].tolist() == [0, 0, 128, 255, 255, 255, 0, 0]


def test_bytes_stay_where_they_are() -> None:
    plain = picture()
    assert on_host(plain) is plain
    assert np.shares_memory(channels_last_bytes(plain), plain)


class OnGpu(CudaFrame):
    """A frame that a library of its own copies to the host, as CuPy's and PyTorch's do."""

    def __init__(self, array: Any) -> None:
        super().__init__(4096, array.shape)
        self._array = array


class LikeCupy(OnGpu):
    def get(self) -> Any:
        return self._array.copy()


class LikeTorch(OnGpu):
    dtype = "torch.uint8"

    def detach(self) -> Any:
        return self

    cpu = detach

    def numpy(self) -> Any:
        return self._array.copy()


@pytest.mark.parametrize("kind", [LikeCupy, LikeTorch])
def test_frames_on_a_gpu_without_an_encoder(kind: type[OnGpu]) -> None:
    plain = picture(1)
    assert encoded(kind(plain)) == encoded(plain)


def test_a_bare_gpu_frame_is_copied_by_the_library_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = picture(2)
    cupy = ModuleType("cupy")
    cupy.asarray = lambda frame: LikeCupy(frame._array)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert encoded(OnGpu(plain)) == encoded(plain)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InvalidFrame, match=r"cannot read a OnGpu on the GPU.*Install CuPy"):
        on_host(OnGpu(plain))


def test_doubles_become_floats_and_others_stay() -> None:
    plain = picture()
    assert with_known_type(plain) is plain
    assert with_known_type(plain / 255).dtype == np.float32


def test_no_numbers_are_an_error() -> None:
    for frame in (None, "text", object(), [[1], [2, 3]]):
        with pytest.raises(InvalidFrame, match=r"Expected an array"):
            SoftwareEncoder(CONFIG).encode(frame)
