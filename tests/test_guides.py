"""The guides for developers name every place that has to be changed, and no other one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_abi

# The setting that the guide's own one is like: one field of the driver's structs, in all versions.
LIKE_IT = "nonref_p"
NAMED = re.compile(r"[\w/.]*\w\.(?:py|hpp|cpp|inl|txt|json)\b")
FOLDERS = ("src", "tests", "third_party")
ELSEWHERE = {
    "test_stereo.py": "MV-HEVC, with and without its fields",
    "rows_structure.py": "A row of one setting that came with 13.1.",
    "test_config_fuzz.py": "Any versions do.",
    "test_pipeline.py": "Any versions do.",
    "test_motion.py": "Any versions do.",
    "test_faults.py": "Any versions do.",
    "test_devices.py": "Fails, and says the new version.",
    "test_sim_encode.py": "Fails, and says the new version.",
    "test_messages_in_streams.py": "What 13.1 changed.",
    "test_pictures.py": "What 13.1 changed.",
}
"""Files that tell 13.0 from 13.1 and are not on the page, with the reason."""


def named_in(page: Path) -> set[str]:
    """The file names, without their folders. ``session_*.cpp`` and the like are none."""
    return {Path(name).name for name in NAMED.findall(page.read_text())}


def test_the_guide_to_settings_names_each_place_of_a_setting(root: Path) -> None:
    named = named_in(root / "docs" / "adding-a-setting.md")
    places = {path.name for path in sources(root, "src") if re.search(rf"\b{LIKE_IT}\b", path.read_text())}
    assert places <= named
    assert {"config.py", "settings.hpp", "config_impl.inl", "settings_from_python.cpp"} <= places


@pytest.mark.parametrize("page", ["adding-a-setting", "adding-an-interface-version"])
def test_each_file_that_a_guide_names_is_there(root: Path, page: str) -> None:
    known = {path.name for folder in FOLDERS for path in sources(root, folder)} | {"CMakeLists.txt"}
    new = {"13.2.json", "session_13_2.cpp", "front_13_2.cpp"}
    assert named_in(root / "docs" / f"{page}.md") - known <= new


def test_the_guide_to_versions_names_each_list_of_versions(root: Path) -> None:
    named = named_in(root / "docs" / "adding-an-interface-version.md")
    lists = {path.name for folder in ("src", "tests") for path in sources(root, folder) if has_versions(path)}
    assert {"encode_api.hpp", "choose.cpp", "front.hpp", "exports.cpp", "conftest.py"} <= lists
    assert lists - named - {"session_13_1.cpp", "front_13_1.cpp", Path(__file__).name} == ELSEWHERE.keys()


def has_versions(path: Path) -> bool:
    """Whether it tells the newest version from others."""
    return re.search(r"""["'_(]13[._]1(?:["'_(:]|\b)""", path.read_text()) is not None


def sources(root: Path, folder: str) -> list[Path]:
    suffixes = {".py", ".hpp", ".cpp", ".inl", ".def", ".txt", ".json"}
    paths = (path for path in (root / folder).rglob("*") if path.suffix in suffixes)
    return [path for path in paths if "recordings" not in path.parts and path.is_file()]
