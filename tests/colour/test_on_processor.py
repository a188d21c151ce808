"""The kernels' source and its planning against the float64 reference, on any machine with a C++ compiler."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colour import reference
from colour.cases import Arrangement, arrangements, deviation, make_image, make_output
from colour.emulator import Emulator

pytestmark = pytest.mark.one_abi

ODD_BYTES = Arrangement(31, 5, form="yuv444", offset_elements=1, spare_elements=3, offset_output=1)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return Emulator(tmp_path_factory.mktemp("emulator"))


@settings(max_examples=400, deadline=None)
@given(arrangement=arrangements(), seed=st.integers(0, 2**32))
@example(arrangement=ODD_BYTES, seed=1)
def test_every_arrangement_within_one_code(emulator: Emulator, arrangement: Arrangement, seed: int) -> None:
    image, output = make_image(arrangement, seed), make_output(arrangement)
    emulator.convert(arrangement, image, output)
    assert deviation(arrangement, image, output).worst <= 1


@pytest.mark.parametrize("form", reference.FORMATS)
@pytest.mark.parametrize("kind", reference.TYPES)
def test_nearly_every_code_is_the_correctly_rounded_one(emulator: Emulator, kind: str, form: str) -> None:
    inexact = total = 0
    for matrix in reference.MATRICES:
        for full_range in (False, True):
            for siting in reference.SITINGS:
                a = Arrangement(512, 64, kind, form=form, matrix=matrix, full_range=full_range, siting=siting)
                image, output = make_image(a, 7), make_output(a)
                emulator.convert(a, image, output)
                found = deviation(a, image, output)
                inexact, total = inexact + found.inexact, total + found.total
    assert inexact <= total * 5e-4, f"{inexact} of {total}"


@pytest.mark.parametrize("form", reference.FORMATS)
@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("kind", reference.TYPES)
def test_wide_kernels_take_all_but_the_last_columns(emulator: Emulator, kind: str, layout: str, form: str) -> None:
    a = Arrangement(166, 4, kind, layout, 4, aligned_rows=True, form=form)
    ran = emulator.convert(a, make_image(a, 1), make_output(a))
    order = "rgbx" if layout == "hwc" else "planes"
    target = f"{form}_left" if a.subsampled else form
    others = "any_to_subsampled" if a.subsampled else "any_to_full"
    strips_of_two = kind == "f32" and layout == "hwc" and a.subsampled
    assert ran == [f"{kind}_{order}_to_{target}"] + [others] * (not strips_of_two)
    assert emulator.convert(a, make_image(a, 1), make_output(dataclasses.replace(a, offset_output=1))) == [others]


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (Arrangement(31, 4), "31x4"),
        (Arrangement(32, 5, form="p010"), "32x5"),
        (Arrangement(32, 4, channels=2), "2 channels"),
        (Arrangement(0, 4), "0x4"),
    ],
)
def test_images_that_cannot_be_converted_are_refused(emulator: Emulator, a: Arrangement, words: str) -> None:
    big = dataclasses.replace(a, width=32, height=4, channels=3)
    image, output = make_image(big, 1), make_output(big)
    image.shape = (a.height, a.width, a.channels)
    with pytest.raises(ValueError, match=words):
        emulator.convert(a, image, output)
    assert (output.memory == make_output(big).memory).all()
