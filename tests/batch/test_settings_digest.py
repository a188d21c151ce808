"""A journal's digest of settings, also read by versions with more settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._batch import settings_digest
from pdum.nvenc._batch.batch import plan
from pdum.nvenc._batch.decisions import DONE_BEFORE, ENCODE
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import DONE, Entry, identity_of
from pdum.nvenc._batch.ledger import ledger
from pdum.nvenc._batch.settings import BatchSettings, default_of, names
from pdum.nvenc._batch.settings_digest import BASELINE, NOT_OF_THE_RESULT, digest_of

pytestmark = pytest.mark.one_abi

DEFAULTS = BatchSettings()
CHANGED = BatchSettings(quality=30, encoder={"bit_depth": 10}, audio=96_000, spatial_aq=7, codec="av1")
WITH_CQ = BatchSettings(cq=30, encoder={"bit_depth": 10}, audio=96_000, spatial_aq=7, codec="hevc")


def test_every_setting_is_classified() -> None:
    assert BASELINE.keys() | NOT_OF_THE_RESULT == set(names())
    assert not BASELINE.keys() & NOT_OF_THE_RESULT


def test_defaults_of_today_are_the_baseline() -> None:
    """If you change a default, leave the baseline alone and name the setting here."""
    changed_since: set[str] = set()
    assert {name for name, value in BASELINE.items() if default_of(name) != value} == changed_since


def test_digests_never_change() -> None:
    """Journals of existing libraries contain these."""
    assert digest_of(DEFAULTS).current == "44136fa355b3678a"
    assert digest_of(DEFAULTS).earlier == {"690e3bf32fe54837"}
    assert digest_of(CHANGED).current == "559d6212a1ffc237"
    assert digest_of(CHANGED).earlier == {"364b8fade886fa1d"}


def test_quality_was_each_codecs_own_cq_in_earlier_versions() -> None:
    """Their journals hold these digests for HEVC at ``quality=30``, which ``cq=30`` is now."""
    before = {"d1c3481e348fcb27", "6fdc7693aa526735"}
    assert digest_of(WITH_CQ).earlier == before
    same_number = digest_of(replace(WITH_CQ, quality=30, cq=0))
    assert not any(map(same_number.matches, before)), "the same number gives another cq now"
    assert not same_number.matches(digest_of(WITH_CQ).current)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("change", [{"lossless": True}, {"target": "ssim=0.9"}, {"codec": "av1"}, {"codec": "auto"}])
def test_results_whose_cq_is_as_before_are_not_repeated(codec: str, change: dict[str, Any]) -> None:
    one = replace(DEFAULTS, **{"codec": codec, **change})
    assert digest_of(one) == settings_digest._without_scale(one)


@pytest.mark.parametrize("settings", [DEFAULTS, CHANGED, WITH_CQ])
def test_a_journal_of_an_earlier_version_still_means_done(tmp_path: Path, settings: BatchSettings) -> None:
    source = tmp_path / "a.mkv"
    source.write_bytes(b"source")
    (decision,) = plan([source], settings).decisions
    *_, earlier = sorted(digest_of(settings).earlier)
    destination = decision.placement.destination
    destination.parent.mkdir()
    destination.write_bytes(b"done")
    journal = Journal.open(destination.parent, "outputs")
    identity, made = identity_of(source), identity_of(destination)
    assert identity is not None
    journal.record(
        Entry(
            source=journal.key(source),
            output=destination.name,
            result=DONE,
            settings=earlier,
            identity=identity,
            made=made,
        )
    )
    journal.close()
    assert [one.action for one in plan([source], settings).decisions] == [DONE_BEFORE]
    assert [one.action for one in plan([source], replace(settings, gop=7)).decisions] == [ENCODE]
    with ledger(plan([source], settings)) as book:
        assert not book.batch.with_action(ENCODE)


def test_a_new_setting_does_not_repeat_finished_results(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Later(BatchSettings):
        grain: str = "off"

    monkeypatch.setattr(settings_digest, "BASELINE", {**BASELINE, "grain": "off"})
    assert digest_of(Later()) == digest_of(DEFAULTS)
    used = digest_of(Later(grain="on"))
    assert not used.matches(digest_of(DEFAULTS).current)
    assert not used.earlier, "no earlier version knew the setting"


@pytest.mark.parametrize(("one", "other"), [({"spatial_aq": True}, {"spatial_aq": 1}), ({"gop": 250}, {"gop": 251})])
def test_different_settings_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = digest_of(BatchSettings(**one)), digest_of(BatchSettings(**other))
    assert not first.matches(second.current)
    assert not second.matches(first.current)
