"""Packages from Debian's archive, unpacked into the cache: headers, Pythons for other processors, an emulator.

apt checks the archive's signatures. It works in a folder of its own here: neither the packages nor the settings of this
machine are touched, and root is not needed.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import cache as once
from pathlib import Path

from wheels.commands import cache, run, tell

MIRROR = "http://deb.debian.org/debian"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SETTINGS = """\
Dir "{folder}";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::main "none";
Dir::Etc::parts "none";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Bin::dpkg "dpkg";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Debug::NoLocking "true";
"""


def apt_is_here() -> bool:
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb") and KEYS.exists())


@once
def settings(suite: str, architecture: str) -> Path:
    """The settings with which apt-get sees this suite as an empty machine of this processor, with a fresh list."""
    if not apt_is_here():
        raise SystemExit(
            "Expected apt-get, dpkg-deb and the package debian-archive-keyring, which fetch what PyPI does not have. "
            "Install them, or leave out --all and name only versions whose Python is on this machine (--python)."
        )
    folder = cache("debian", f"{suite}-{architecture}")
    for name in ("state/lists/partial", "cache/archives/partial", "none", "unpacked"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYS}] {MIRROR} {suite} main\n")
    configuration = folder / "apt.conf"
    configuration.write_text(SETTINGS.format(folder=folder, architecture=architecture))
    run("apt-get", "-qq", "update", environment={"APT_CONFIG": str(configuration)})
    return configuration


def unpack(archive: Path, folder: Path) -> None:
    run("dpkg-deb", "-x", archive, folder)
    tell(f"   fetched {archive.name} sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}")


def headers(minor: str, suite: str, architecture: str) -> Path:
    """The folder usr/include of Python's development package."""
    folder = cache("debian", f"{suite}-{architecture}", f"python{minor}-headers")
    if not (folder / "complete").exists():
        configuration = settings(suite, architecture)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        package = f"libpython{minor}-dev"
        run("apt-get", "-qq", "download", package, environment={"APT_CONFIG": str(configuration)}, folder=folder)
        for archive in folder.glob("*.deb"):
            unpack(archive, folder)
            archive.unlink()
        (folder / "complete").touch()
    return folder / "usr" / "include"


def system(suite: str, architecture: str, *packages: str) -> Path:
    """A folder with these packages and all that they need, as in the root of a machine."""
    folder = cache("debian", f"{suite}-{architecture}", "-".join(packages))
    if not (folder / "complete").exists():
        configuration = settings(suite, architecture)
        environment = {"APT_CONFIG": str(configuration), "DEBIAN_FRONTEND": "noninteractive"}
        shutil.rmtree(folder, ignore_errors=True)
        run("apt-get", "-qq", "clean", environment=environment)
        run("apt-get", "-qq", "--download-only", "install", *packages, environment=environment)
        lay_out(folder)
        for archive in sorted((configuration.parent / "cache" / "archives").glob("*.deb")):
            unpack(archive, folder)
        (folder / "complete").touch()
    return folder


def lay_out(folder: Path) -> None:
    """Debian has one folder for each of these pairs. Some packages name the first, some the second."""
    for name in ("bin", "lib", "sbin", "lib64"):
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
