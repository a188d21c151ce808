"""Errors as people read them: words without numbers, and without FFmpeg's own vocabulary."""

from __future__ import annotations

import errno
import os

import pytest

from pdum.nvenc._text import error_text

from loud import need_module

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_errors_of_the_system_have_words_and_no_number(number: int) -> None:
    words = os.strerror(number)
    assert error_text(OSError(number, words)) == words
    assert error_text(OSError(number, words, "a.mkv")) == f"a.mkv: {words}"


def test_other_errors_keep_their_message() -> None:
    assert error_text(ValueError("Expected a number.")) == "Expected a number."
    assert error_text(OSError("The disk is on fire.")) == "The disk is on fire."
    assert error_text(ValueError()) == "ValueError"


def test_words_of_ffmpeg_are_explained_or_quoted() -> None:
    errors = need_module("av").error
    from pdum.nvenc._media.av import words_of

    invalid = errors.InvalidDataError(1094995529, "Invalid data found when processing input")
    assert words_of(invalid) == "the data is damaged or incomplete"
    assert words_of(errors.EOFError(541478725, "End of file")) == "the data ends too early"
    assert words_of(errors.FFmpegError(1, "Muxer is sad")) == 'FFmpeg reports "Muxer is sad"'
    assert words_of(errors.FileNotFoundError(errno.ENOENT, "No such file or directory")) == "No such file or directory"
