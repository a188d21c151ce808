"""All sources of the tests of files: the GPU's decoder gives the processor's pictures, or says why it does not."""

from __future__ import annotations

import pytest

from decoder.videos import assert_same, by_processor, intact, on_host
from media_samples import SAMPLES, sample
from pdum.nvenc import UnsupportedFeature, decode

from simulator import Simulator

pytestmark = pytest.mark.one_abi

REFUSED = {
    **dict.fromkeys(("odd", "4:4:4-odd"), "No GPU decodes ffv1"),
    **dict.fromkeys(("4:4:4", "4:4:4-ten-bit"), "does not decode h264 4:4:4"),
    **dict.fromkeys(("leading-pictures", "ten-bit", "hdr10", "vp9"), "to 8192x8192 .* got a video of 160x96"),
}
BROKEN = ("broken-off", "broken-off-mp4")
"""The processor's decoder guesses the last picture, or fails."""


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in BROKEN])
def test_every_picture_is_the_processors(simulator: Simulator, name: str) -> None:
    path = sample(name)
    with simulator.machine(gpus={"name": "RTX 5090", "fps_1080p": 0}):
        if name in REFUSED:
            with pytest.raises(UnsupportedFeature, match=REFUSED[name]):
                list(decode(path))
        else:
            assert_same(on_host(intact(decode(path))), by_processor(path))
