"""The parts of build-wheel.sh that need no compiler."""

from __future__ import annotations

import platform
import re
import zipfile
from pathlib import Path

import pytest

from release.proof import NOT_RUN
from wheels import simulated_driver
from wheels.assemble import assemble
from wheels.headers import python_of, without_gil
from wheels.target import ARCHITECTURES, VERSIONS, Target

from check_wheel import problems_of_record

pytestmark = pytest.mark.one_abi

ROOT = Path(__file__).resolve().parents[1]


def test_names_of_a_target() -> None:
    target = Target("3.13t", "aarch64")
    assert (target.tag, target.suffix) == ("cp313-cp313t-linux_aarch64", ".cpython-313t-aarch64-linux-gnu.so")
    assert Target("3.10", "x86_64").tag == "cp310-cp310-linux_x86_64"


def test_a_target_with_and_without_ranges() -> None:
    """Both have folders of their own, so that no build takes the other's files."""
    targets = [Target("3.12", "x86_64", nvtx) for nvtx in (True, False)]
    assert [target.nvtx_option for target in targets] == ["-DUSE_NVTX=ON", "-DUSE_NVTX=OFF"]
    assert len({target.folder for target in targets}) == 2
    assert len({target.tag for target in targets}) == 1


@pytest.mark.parametrize("version", ["3", "3.9", "4.1", "py3.12", "3.12.1", ""])
def test_a_version_that_is_none(version: str) -> None:
    with pytest.raises(SystemExit, match=re.escape("Expected CPython 3.10 or newer, such as 3.12 or 3.13t")):
        Target(version, "x86_64")


@pytest.mark.parametrize("name", ["2.7", "nothing", "true"])
def test_an_interpreter_that_is_none(name: str) -> None:
    with pytest.raises(SystemExit, match=f"or an interpreter of CPython, got '{name}'"):
        python_of(name)


def test_a_processor_without_wheels() -> None:
    with pytest.raises(SystemExit, match="Expected x86_64 or aarch64, got --arch 'riscv64'"):
        Target("3.12", "riscv64")


def test_a_wheel_for_each_python_that_the_package_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)\"", (ROOT / "pyproject.toml").read_text())
    assert named == [version for version in VERSIONS if not version.endswith("t")]
    assert ARCHITECTURES == ("x86_64", "aarch64")


def test_the_tools_are_what_the_package_is_built_with() -> None:
    required = re.search(r"requires = \[\n(.+?)\n\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL)
    assert required
    wanted = re.findall(r"\"(.+?)\"", required[1])
    lines = (ROOT / "wheels" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")][: len(wanted)] == wanted


@pytest.fixture
def common(tmp_path: Path) -> Path:
    """A wheel without a native module, as scikit-build-core makes it."""
    made = tmp_path / "pdum_nvenc-1.2-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("pdum/nvenc/__init__.py", "")
        about = "Wheel-Version: 1.0\nGenerator: scikit-build-core\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"
        archive.writestr("pdum_nvenc-1.2.dist-info/WHEEL", about)
        archive.writestr("pdum_nvenc-1.2.dist-info/RECORD", "old\n")
    return made


@pytest.fixture
def native(tmp_path: Path) -> Path:
    folder = tmp_path / "staged" / "pdum" / "nvenc"
    folder.mkdir(parents=True)
    (folder / "_nvenc.so").write_bytes(b"module")
    return tmp_path / "staged"


def test_an_assembled_wheel(common: Path, native: Path, tmp_path: Path) -> None:
    target = Target("3.14t", "x86_64")
    made = assemble(common, native, target, tmp_path / "one")
    assert made.name == "pdum_nvenc-1.2-cp314-cp314t-linux_x86_64.whl"
    with zipfile.ZipFile(made) as archive:
        about = archive.read("pdum_nvenc-1.2.dist-info/WHEEL").decode().splitlines()
        assert about[-2:] == ["Root-Is-Purelib: false", "Tag: cp314-cp314t-linux_x86_64"]
        assert "Tag: py3-none-any" not in about
        assert archive.namelist() == [
            "pdum/nvenc/__init__.py",
            "pdum/nvenc/_nvenc.so",
            "pdum_nvenc-1.2.dist-info/RECORD",
            "pdum_nvenc-1.2.dist-info/WHEEL",
        ]
        assert list(problems_of_record(set(archive.namelist()), archive)) == []
    again = assemble(common, native, target, tmp_path / "two")
    assert again.read_bytes() == made.read_bytes(), "the same files give another wheel"


def test_a_wrong_record_is_found(common: Path, native: Path, tmp_path: Path) -> None:
    made = assemble(common, native, Target("3.12", "x86_64"), tmp_path)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("extra.py", "")
    with zipfile.ZipFile(made) as archive:
        found = list(problems_of_record(set(archive.namelist()), archive))
    assert found == ["RECORD and the files differ: extra.py"]


def test_headers_without_the_gil(tmp_path: Path) -> None:
    pyconfig = tmp_path / "pyconfig.h"
    pyconfig.write_text("#define A 1\n/* #undef Py_GIL_DISABLED */\n")
    without_gil(pyconfig)
    assert pyconfig.read_text() == "#define A 1\n#define Py_GIL_DISABLED 1\n"
    with pytest.raises(SystemExit, match="Expected one line about Py_GIL_DISABLED"):
        without_gil(pyconfig)


# --- the simulated driver's wheel ---


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], [platform.machine()]),
        (["--all"], list(ARCHITECTURES)),
        (["--arch", "aarch64"], ["aarch64"]),
        (["--all", "--arch", "x86_64", "dist"], ["x86_64"]),
    ],
)
def test_the_processors_of_the_simulated_driver(given: list[str], wanted: list[str]) -> None:
    assert simulated_driver.architectures(simulated_driver.parser().parse_args(given)) == wanted


def test_a_folder_is_meant_from_where_the_caller_is(tmp_path: Path) -> None:
    arguments = simulated_driver.parser().parse_args(["--here", str(tmp_path), "dist"])
    assert arguments.here / arguments.folder == tmp_path / "dist"
    assert simulated_driver.parser().parse_args([]).folder == ROOT / "wheelhouse"


def test_a_library_of_another_processor_is_cross_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDUM_WHEEL_CACHE", str(tmp_path))
    (other,) = set(ARCHITECTURES) - {platform.machine()}
    foreign = simulated_driver.cross_compiler(Target("3.13", other))
    assert foreign["CMAKE_SYSTEM_PROCESSOR"] == other
    assert f"-target {other}-linux-gnu.2.28" in Path(foreign["CMAKE_CXX_COMPILER"]).read_text()
    own = simulated_driver.cross_compiler(Target("3.13", platform.machine()))
    assert "CMAKE_SYSTEM_PROCESSOR" not in own, "CMake runs what it tries"
    assert own["CMAKE_CXX_COMPILER"] != foreign["CMAKE_CXX_COMPILER"]


def test_what_cannot_be_emulated_was_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a wheel is refused by ./release.sh check."""
    monkeypatch.setattr("wheels.debian.apt_is_here", lambda: False)
    what, ran = simulated_driver.try_emulated(tmp_path / "any.whl", Target("3.13", "aarch64"))
    assert what == "Python 3.13 aarch64"
    assert ran.startswith(NOT_RUN)
    assert "debian-archive-keyring" in ran
