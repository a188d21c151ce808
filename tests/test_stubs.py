"""The public surface is frozen: the stub agrees with the built module, names and signatures are as documented."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pdum.nvenc
from pdum.nvenc import NvencEncoder, NvencError, Packet, _errors, _nvenc

pytestmark = pytest.mark.one_abi

POSITIONAL = {
    "width": inspect.Parameter.empty,
    "height": None,
    "codec": "h264",
    "preset": "p3",
    "tuning": "ll",
    "fps": 30,
    "gop": 30,
    "bitrate": 0,
    "gpu_id": 0,
    "cuda_context": 0,
    "extra_output_delay": 0,
    "profile": "auto",
}


def run_python(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, timeout=280, check=False
    )


# Pybind11 has its own metaclass, which a stub cannot express.
METACLASSED = (
    *("DecodedFrame", "Decoder", "Encoder", "Motion", "PictureStatistics", "PrimaryContext", "ReconstructedFrame"),
    *("Surface", "_RgbConverter", "_SurfaceMemory"),
)
# Classes that only the module makes take any arguments, in order to refuse them.
REFUSING = '__init__ is inconsistent, stub does not have *args parameter "args"'


def test_stub_agrees_with_the_built_module(root: Path) -> None:
    """mypy's own comparison, which also sees the signatures that the module reports."""
    result = run_python("-m", "mypy.stubtest", "pdum.nvenc._nvenc", "--concise", root=root)
    expected = {f"pdum.nvenc._nvenc.{name} is inconsistent, metaclass differs" for name in METACLASSED}
    if sys.version_info < (3, 12):
        expected.add("pdum.nvenc._nvenc.Packet.__buffer__ is not present at runtime")  # the slot has no name yet
    assert {line for line in result.stdout.splitlines() if not line.endswith(REFUSING)} == expected
    assert result.stderr == ""


def test_constructor_is_frozen() -> None:
    parameters = list(inspect.signature(NvencEncoder).parameters.values())
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert {p.name: p.default for p in positional} == POSITIONAL
    assert [p.name for p in positional] == list(POSITIONAL)
    rest = parameters[len(positional) :]
    assert {p.kind for p in rest} <= {inspect.Parameter.VAR_KEYWORD}, "further ones are the fields of EncoderConfig"


def test_every_parameter_of_the_constructor_is_documented() -> None:
    arguments = (inspect.getdoc(NvencEncoder) or "").split("Args:")[1].split("Raises:")[0]
    for name in inspect.signature(NvencEncoder).parameters:
        assert f"{name}:" in arguments or f"{name}," in arguments, name


def test_all_is_sorted_and_every_name_of_it_is_there() -> None:
    assert pdum.nvenc.__all__ == sorted(pdum.nvenc.__all__)
    assert len(set(pdum.nvenc.__all__)) == len(pdum.nvenc.__all__)
    everything: dict[str, object] = {}
    exec("from pdum.nvenc import *", everything)
    assert set(pdum.nvenc.__all__) == everything.keys() - {"__builtins__"}


@pytest.mark.parametrize("name", pdum.nvenc.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(pdum.nvenc, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (inspect.getdoc(value) or "").strip()


@pytest.mark.parametrize(
    "name", ["encode", "submit", "flush", "flush_pipeline", "reconfigure", "sequence_header", "close", "in_flight"]
)
def test_every_method_of_the_encoder_says_what_it_does(name: str) -> None:
    assert len((inspect.getdoc(getattr(NvencEncoder, name)) or "").split()) > 3


@pytest.mark.parametrize("name", ["width", "height", "codec", "abi", "gpu_id", "nvtx_enabled", "in_flight"])
def test_facts_about_an_encoder_are_documented_properties(name: str) -> None:
    value = inspect.getattr_static(NvencEncoder, name)
    assert isinstance(value, property)
    assert value.fset is None
    assert value.__doc__


def test_every_error_is_in_the_tree() -> None:
    values = [getattr(pdum.nvenc, name) for name in pdum.nvenc.__all__]
    errors = [value for value in values if inspect.isclass(value) and issubclass(value, BaseException)]
    here = {name for name, value in vars(_errors).items() if inspect.isclass(value) and issubclass(value, NvencError)}
    assert {error.__name__ for error in errors} == here, "every error is public"
    assert all(issubclass(error, NvencError) for error in errors)
    tree = inspect.getdoc(sys.modules[NvencError.__module__]) or ""
    assert all(error.__name__ in tree for error in errors)


def test_native_packet_is_the_public_one() -> None:
    assert Packet is _nvenc.Packet
    assert not Packet.__flags__ & (1 << 10), "no subclasses: an encoder's packets are exactly of this type"


TYPED_USE = """
from fractions import Fraction
from pathlib import Path
from pdum.nvenc import EncoderConfig, EncoderPool, NvencEncoder, Packet, Result

def use(frame: object) -> bytes:
    with NvencEncoder(640, 480, fps=Fraction(30000, 1001), bframes=2) as encoder:
        packets: list[Packet] = encoder.submit(frame, seq=1)
        encoder.reconfigure(bitrate=1_000_000)
        return b"".join(packet.data for packet in packets) + encoder.encode(frame, force_idr=True) + encoder.flush()

def configure(config: EncoderConfig) -> EncoderConfig:
    return config.replaced(width=1280, height=720, spatial_aq=8)

def render(pool: EncoderPool, frame: object) -> tuple[bytes, Result]:
    stream = pool.render_video(lambda *_: frame, 30, width=640, height=480, cq=20)
    return stream, pool.render_video(lambda *_: frame, 30, destination=Path("film.mp4"), width=640, height=480)

def files(pool: EncoderPool) -> Result:
    return pool.encode_file("a.mkv", "b.mkv", codec="av1", preset="p7", cq=30, in_place=False, verify="full")
"""

WRONG_USE = """
from pdum.nvenc import NvencEncoder

NvencEncoder("640", 480)
NvencEncoder(640, 480).submit(None)
text: str = NvencEncoder(640, 480).flush()
"""

UNKNOWN_SETTINGS = """
from pdum.nvenc import EncoderConfig, EncoderPool, NvencEncoder

NvencEncoder(640, 480, bit_rate=5)
NvencEncoder(640, 480, bframes="many")
NvencEncoder(640, 480).reconfigure(codec="hevc")
EncoderConfig(width=640, height=480).replaced(bit_rate=5)
EncoderPool().render_video(lambda *_: None, 30, width=640, height=480, bit_rate=5)
EncoderPool().generated(lambda *_: None, 30, width=640, height=480, bit_rate=5)
EncoderPool().encode_file("a.mkv", "b.mkv", bit_rate=5)
EncoderPool().encode_file("a.mkv", "b.mkv", width=640)
"""


PROGRAMS = {"right.py": TYPED_USE, "wrong.py": WRONG_USE, "unknown.py": UNKNOWN_SETTINGS}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """The lines with errors of ``mypy --strict``, by program."""
    folder = tmp_path_factory.mktemp("typed")
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text)
    done = run_python("-m", "mypy", "--strict", "--config-file=", *PROGRAMS, root=folder)
    lines = [line.split(":") for line in done.stdout.splitlines() if ": error:" in line]
    assert {name for name, *_ in lines} <= PROGRAMS.keys(), done.stdout + done.stderr
    return {name: [int(line[1]) for line in lines if line[0] == name] for name in PROGRAMS}


def test_types_reach_users(found: dict[str, list[int]]) -> None:
    """Right use passes, and each line of wrong use is found."""
    assert found["right.py"] == []
    assert found["wrong.py"] == [4, 5, 6]


def test_a_type_checker_finds_each_unknown_setting(found: dict[str, list[int]]) -> None:
    assert set(found["unknown.py"]) == set(range(4, 12))
