"""NVTX ranges of Python code. Without a profiler, functions stay as they are and cost nothing more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, TypeVar

from ._nvenc import begin_range, end_range, has_profiler, name_this_thread

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
R = TypeVar("R")

_this_thread = threading.local()


def profiled(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Marks each call of the function as a range. Not for generators: their body runs after the call.

    A thread begins with the name that Python has for it, since most Pythons do not tell it to the system.
    """
    return marked(name) if has_profiler else as_it_is


def as_it_is(function: Callable[P, R]) -> Callable[P, R]:
    return function


def marked(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not hasattr(_this_thread, "is_named"):
                _this_thread.is_named = True
                name_this_thread(threading.current_thread().name)
            begin_range(name)
            try:
                return function(*args, **kwargs)
            finally:
                end_range()

        return call

    return decorated
