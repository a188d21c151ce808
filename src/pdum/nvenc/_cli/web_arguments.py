"""The arguments for a dashboard in the browser."""

from __future__ import annotations

import argparse
from typing import Any

from .._web.address import LOOPBACK, PORT, Address
from .argument_types import address


def add_web_arguments(group: Any) -> None:
    group.add_argument("--web", action="store_true", help="show a dashboard in the browser (extra: web)")
    group.add_argument(
        "--web-address",
        type=address,
        metavar="[HOST:]PORT",
        help=f"where to serve it (default: {LOOPBACK}:{PORT}, or another port if that one is in use)",
    )


def web_address(arguments: argparse.Namespace) -> Address | None:
    """Where a dashboard is wanted, if one is."""
    given: Address | None = getattr(arguments, "web_address", None)
    return given or (Address() if getattr(arguments, "web", False) else None)
