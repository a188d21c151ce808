"""Pictures compared by FFmpeg's filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pdum.nvenc import EncoderFailed, UnsupportedFeature
from pdum.nvenc._files.scores import MOST_DECIBELS, compare, require_scores

from loud import need_module, need_pyav

pytestmark = pytest.mark.one_abi


def pictures(noise: int, count: int = 6, form: str = "yuv420p", seed: int = 0) -> Iterator[Any]:
    av = need_pyav(18, "scores")
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:144, :160]
    for number in range(count):
        plane = (x + 2 * y + 5 * number) % 200 + 20
        luma = np.clip(plane + random.integers(-noise, noise + 1, plane.shape), 0, 255)
        picture = np.full((216, 160), 128, np.uint8)
        picture[:144] = luma
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        yield frame if form == "yuv420p" else frame.reformat(format=form)


@pytest.mark.parametrize(("metric", "best"), [("xpsnr", MOST_DECIBELS), ("ssim", 1.0)])
def test_equal_pictures_have_the_best_score_and_noise_lowers_it(metric: str, best: float) -> None:
    scores = [compare(metric, pictures(0), pictures(noise)) for noise in (0, 1, 4, 16, 64)]
    assert scores[0] == best
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize("metric", ["xpsnr", "ssim"])
def test_layouts_make_no_difference(metric: str) -> None:
    assert compare(metric, pictures(0, form="nv12"), pictures(3)) == pytest.approx(
        compare(metric, pictures(0), pictures(3)), abs=1e-4
    )


def test_ssim_is_what_a_formula_says_of_two_flat_pictures() -> None:
    """SSIM of flat pictures is (2ab + c) / (a² + b² + c) with c = (0.01 × 255)². Luma is 4 parts of 6."""
    av = need_pyav(18, "scores")

    def flat(value: int) -> Iterator[Any]:
        picture = np.full((216, 160), 128, np.uint8)
        picture[:144] = value
        yield av.VideoFrame.from_ndarray(picture, "yuv420p")

    a, b, c = 100, 120, (0.01 * 255) ** 2
    luma = (2 * a * b + c) / (a * a + b * b + c)
    assert compare("ssim", flat(a), flat(b)) == pytest.approx((4 * luma + 2) / 6, abs=1e-3)


@pytest.mark.parametrize(("originals", "results"), [(5, 6), (6, 5), (0, 3), (3, 0)])
def test_a_picture_too_many_or_too_few_gives_no_score(originals: int, results: int) -> None:
    with pytest.raises(EncoderFailed, match="pictures"):
        compare("ssim", pictures(0, originals), pictures(0, results))


def test_vmaf_is_refused_by_a_pyav_without_it_which_says_what_is_needed() -> None:
    need_module("av")
    from av.filter import filters_available

    if "libvmaf" in filters_available:
        require_scores("vmaf")
        assert compare("vmaf", pictures(0), pictures(64)) < compare("vmaf", pictures(0), pictures(4)) <= 100
    else:
        with pytest.raises(UnsupportedFeature, match=r"needs PyAV 19.* use xpsnr or ssim"):
            require_scores("vmaf")
