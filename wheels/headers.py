"""Python's headers for a wheel: those of a Python on this machine, or Debian's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from wheels import debian
from wheels.commands import cache, run, tell
from wheels.target import Target

SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
ABOUT = (
    "import sys, sysconfig as s; print(s.get_path('include'), '%d.%d' % sys.version_info[:2] + "
    "('t' if s.get_config_var('Py_GIL_DISABLED') else ''), sys.implementation.name, sep='\\n')"
)


def about(python: str | Path) -> tuple[Path, str] | None:
    """The folder of the headers and the version of this interpreter, if it runs and is CPython."""
    told = subprocess.run([str(python), "-I", "-c", ABOUT], capture_output=True, text=True, check=False)
    if told.returncode or told.stdout.splitlines()[2] != "cpython":
        return None
    include, version, _ = told.stdout.splitlines()
    return Path(include), version


def candidates(version: str) -> list[Path]:
    """Where interpreters of a version are: the path, the versions of pyenv and uv, Debian's own place."""
    name = f"python{version}"
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", str(Path(sys.base_prefix, "bin"))]
    found = [Path(folder, name) for folder in folders]
    for home in (Path.home() / ".pyenv" / "versions", Path.home() / ".local" / "share" / "uv" / "python"):
        found += sorted(home.glob(f"*/bin/{name}"))
    return found + [Path(given) for given in os.environ.get("PDUM_PYTHONS", "").split(os.pathsep) if given]


def local_python(version: str) -> Path | None:
    """An interpreter of this version on this machine that has its headers."""
    for python in candidates(version):
        if python.exists() and (told := about(python)) and told[1] == version and (told[0] / "Python.h").exists():
            return python
    return None


def of_debian(target: Target) -> Path | None:
    """The headers in one folder. Those without the GIL are the same, but for one definition."""
    if target.minor not in SUITES or not debian.apt_is_here():
        return None
    folder = cache("headers", f"{target.version}-{target.architecture}")
    if not (folder / "complete").exists():
        include = debian.headers(target.minor, SUITES[target.minor], target.debian_architecture)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(include / f"python{target.minor}", folder)
        shutil.copy(include / target.triplet / f"python{target.minor}" / "pyconfig.h", folder)
        if target.free_threaded:
            without_gil(folder / "pyconfig.h")
        (folder / "complete").touch()
    return folder


def without_gil(pyconfig: Path) -> None:
    text, count = re.subn(r"/\* #undef Py_GIL_DISABLED \*/", "#define Py_GIL_DISABLED 1", pyconfig.read_text())
    if count != 1:
        raise SystemExit(f"Expected one line about Py_GIL_DISABLED in {pyconfig}, got {count}.")
    pyconfig.write_text(text)


def of_this_machine(target: Target) -> Path | None:
    python = local_python(target.version)
    told = about(python) if python else None
    return told[0] if told else None


def find(target: Target) -> Path:
    """This machine's headers fit its own processor; for another one, Debian's are taken where there are some.

    CPython's headers are the same on both processors. pyconfig.h differs in a few lines, which no public header reads.
    """
    places = [of_this_machine, of_debian] if target.is_native else [of_debian, of_this_machine]
    for place in places:
        if found := place(target):
            version = re.search(r'PY_VERSION\s+"(.+)"', (found / "patchlevel.h").read_text())
            tell(f"   headers of CPython {version[1] if version else target.version}: {found}")
            return found
    raise SystemExit(
        f"Expected the headers of CPython {target.version}, got none. Debian has those of {', '.join(SUITES)} "
        f"(apt-get and debian-archive-keyring fetch them). For other versions, put python{target.version} on the PATH, "
        "or name interpreters in PDUM_PYTHONS."
    )


def python_of(executable: str) -> str:
    """The version of the interpreter that somebody names instead of a version."""
    told = about(run("sh", "-c", f"command -v {executable!r}").strip())
    if told is None:
        raise SystemExit(f"Expected CPython, got {executable}, which does not say that it is.")
    return told[1]
