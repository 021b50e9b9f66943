"""What is said where sources leave clocks open: what was tried, and what would help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.media.audio import Sound
from mocap.sync.evidence import Evidence
from mocap.sync.synchronise import Sources, synchronise
from mocap.synth.rig import ring_rig

NAMES = ("a", "b", "c")


def heard(sigma_s: float, a: str = "a", b: str = "b") -> Evidence:
    return Evidence("audio", a, b, 2.0, 1.0, 0.0, sigma_s, float("inf"))


def error_of(*methods: str, sounds: dict[str, Sound | None] | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        synchronise(Sources(("a", "b"), sounds, methods=methods))
    assert caught.value.code == "sync-no-evidence"
    return caught.value


@pytest.mark.parametrize("methods", [("timecode",), ("timecode", "gps"), ("flash",)])
def test_sources_without_evidence_are_named_as_they_were_asked_for(methods: Sequence[str]) -> None:
    error = error_of(*methods)
    assert f"(tried: {', '.join(methods)})" in error.message
    assert "clap" not in error.advice


def test_sound_beside_another_source_is_named_with_it() -> None:
    silent: dict[str, Sound | None] = dict.fromkeys("ab", Sound(np.zeros(96000, np.float32), 48000, 0.0))
    error = error_of("audio", "gps", sounds=silent)
    assert "(tried: sound, gps)" in error.message
    assert "clap" in error.advice


def test_a_clock_from_sound_of_unknown_travel_is_not_advised_to_clap() -> None:
    doubtful = heard(0.012)
    found = synchronise(Sources(("a", "b"), more=[doubtful], methods=("audio",))).diagnostics
    [said] = [d.message for d in found if d.code == "sync-doubtful"]
    assert "--rig" in said
    assert "--clap-at" in said
    assert "clap once" not in said
    rig = ring_rig(2, np.random.default_rng(1))
    more = [heard(0.012, *rig.names)]
    found = synchronise(Sources(rig.names, more=more, rig=rig)).diagnostics
    [said] = [d.message for d in found if d.code == "sync-doubtful"]
    assert "--clap-at" in said
    assert "--rig" not in said


def test_a_camera_that_nothing_ties_names_only_what_was_tried() -> None:
    found = synchronise(Sources(NAMES, more=[heard(0.001)], methods=("audio", "timecode"))).diagnostics
    [said] = [d.message for d in found if d.code == "sync-camera-untied"]
    assert "no common sound or timecode" in said
