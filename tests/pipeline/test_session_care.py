"""What a session's verbs must not spoil: settings, takes of other processes, takes beside a broken one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessions.lock import take_lock

Mocap = Callable[..., tuple[int, dict[str, Any]]]


def code_of(result: tuple[int, dict[str, Any]]) -> str:
    status, data = result
    assert status == 1, data
    return data["error"]["code"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--set", "model=nonsense"), "model-unknown"),
        (("--set", "refine_rig=no", "--from", "magic"), "unknown-stage"),
        (("--set", "refine_rig=no", "--set", "recrop=maybe"), "setting-invalid"),
    ],
)
def test_a_run_that_is_refused_keeps_no_setting(more: tuple[str, ...], code: str, session: Path, mocap: Mocap) -> None:
    file = session / "takes" / "wave" / "take.toml"
    before = file.read_bytes()
    assert code_of(mocap("run", session, "wave", *more)) == code
    assert file.read_bytes() == before


def test_no_setting_is_written_under_a_run_of_another_process(session: Path, mocap: Mocap) -> None:
    file = session / "takes" / "wave" / "take.toml"
    before = file.read_bytes()
    with take_lock(file.parent):
        assert code_of(mocap("run", session, "wave", "--set", "refine_rig=no")) == "take-busy"
    assert file.read_bytes() == before
