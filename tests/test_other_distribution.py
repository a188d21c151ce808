"""habemus-papadum-nvenc installs `pdum/nvenc`, too. Where both are installed, users are told so.

The other distribution here is made up: its name and the names of its files are all that matters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pdum.nvenc
from pdum.nvenc import doctor
from pdum.nvenc._distributions import OTHERS

pytestmark = pytest.mark.one_abi

(OTHER,) = OTHERS
SOURCE = Path(pdum.nvenc.__file__).parents[1]
COMMAND = "import sys; from pdum.nvenc_command import main; sys.exit(main())"
THEIR_INIT = "from importlib import import_module\n__version__ = '0.2.1'\n__all__ = []\n"


def registered(folder: Path) -> Path:
    """A folder in which the other distribution is installed, as far as Python's metadata tell."""
    info = folder / f"{OTHER.replace('-', '_')}-0.2.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {OTHER}\nVersion: 0.2.1\n")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Both distributions in one folder, with our files."""
    site = registered(tmp_path / "site-packages")
    shutil.copytree(SOURCE, site / "pdum", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (native,) = [Path(str(pdum.nvenc._nvenc.__file__))]
    (site / "pdum" / "nvenc" / native.name).symlink_to(native)
    return site


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python without the site-packages of this environment, which has our package as an editable installation."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-S", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_doctor_notes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor().about("other distribution") == []
    monkeypatch.syspath_prepend(str(registered(tmp_path)))
    (finding,) = doctor().about("other distribution")
    assert finding.level == "note"
    assert finding.text == f"{OTHER} 0.2.1 is installed too, and has the same folder pdum/nvenc."
    assert finding.advice.startswith(f"Uninstall both (pdum-nvenc and {OTHER})")


def test_nothing_is_said_while_our_files_are_whole(site: Path) -> None:
    done = run(site, "-c", "import sys, pdum.nvenc; assert 'importlib.metadata' not in sys.modules")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("start", [["-c", COMMAND], ["-m", "pdum.nvenc"]], ids=["command", "module"])
@pytest.mark.parametrize("whose", ["theirs", "nobody's"])
def test_the_command_says_that_the_package_is_another(site: Path, start: list[str], whose: str) -> None:
    """Their __init__.py was installed last, or was uninstalled with them."""
    init = site / "pdum" / "nvenc" / "__init__.py"
    init.unlink()
    if whose == "theirs":
        init.write_text(THEIR_INIT)
    done = run(site, *start)
    assert done.returncode == 1
    assert done.stderr.startswith("pdum-nvenc: Expected the modules of pdum-nvenc in pdum/nvenc, got some of another")
    assert f"{OTHER} 0.2.1 is installed too" in done.stderr
    assert "Uninstall both" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_import_says_so_if_the_native_module_is_gone(site: Path) -> None:
    for native in (site / "pdum" / "nvenc").glob("*.so"):
        native.unlink()
    done = run(site, "-c", "import pdum.nvenc")
    assert (
        f"ImportError: Expected the modules of pdum-nvenc in pdum/nvenc, got some of another distribution: {OTHER}"
        in (done.stderr)
    )


def test_without_the_other_an_error_stays_what_it_is(site: Path) -> None:
    for native in (site / "pdum" / "nvenc").glob("*.so"):
        native.unlink()
    for info in site.glob("*.dist-info"):
        shutil.rmtree(info)
    done = run(site, "-c", "import pdum.nvenc")
    assert done.stderr.splitlines()[-1].startswith("ImportError: cannot import name '_nvenc'")
    command = run(site, "-c", COMMAND)
    assert "cannot import name '_nvenc'" in command.stderr
