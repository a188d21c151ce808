"""Other distributions that install files into the same folder ``pdum/nvenc`` as this one."""

from __future__ import annotations

import sys

OWN = "pdum-nvenc"
OTHERS = ("habemus-papadum-nvenc",)


def other_distribution() -> tuple[str, str] | None:
    """The name and version of another distribution of ``pdum.nvenc`` that is installed here."""
    from importlib.metadata import PackageNotFoundError, version  # takes longer to import than this whole package

    for name in OTHERS:
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return None


def advice(name: str) -> str:
    """What to do if both are installed. Uninstalling only one of them takes files away from the other."""
    return f"Uninstall both ({OWN} and {name}), then install the one that you want again."


def explanation(error: object) -> str:
    """How another distribution explains an error of an import; empty if none is installed."""
    other = other_distribution()
    if other is None:
        return ""
    name, version = other
    return (
        f"Expected the modules of {OWN} in pdum/nvenc, got some of another distribution: {name} {version} is installed"
        f" too and has the same folder ({error}). {advice(name)}"
    )


def wrong_package() -> str:
    """What is wrong if these modules lie in a package ``pdum.nvenc`` that is not theirs; empty if nothing is."""
    package = sys.modules[__name__.rpartition(".")[0]]
    if hasattr(package, "_LAZY"):
        return ""
    wrong = f"{package.__file__} is not ours" if package.__file__ else "__init__.py is missing"
    return explanation(wrong) or f"Expected the package pdum.nvenc, but {wrong}. Uninstall {OWN} and install it again."
