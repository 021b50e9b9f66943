"""The runner reuses what fits, recomputes what does not, and survives being stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.core.errors import Cancelled, InputError
from mocap.core.progress import NoProgress
from sessions.runner import Stage, run_stages, source, source_items, stage_keys
from sessions.store import ArtifactStore

CONFIG = {"gain": 2.0, "shift": 1.0, "unused": 0}


class Counting:
    """Stage functions that count how often they ran."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def table(self) -> list[Stage]:
        return [
            Stage("detect", 1, ("videos",), self._detect, ("gain",), each=True, identity=lambda _: "model-1"),
            Stage("sum", 1, ("detect",), self._sum),
            Stage("shifted", 1, ("sum",), self._shift, ("shift",)),
        ]

    def _detect(self, inputs: Mapping[str, Any], config: Mapping[str, Any], _progress: object) -> Any:
        self.runs.append("detect")
        return np.arange(inputs["videos"]) * config["gain"]

    def _sum(self, inputs: Mapping[str, Any], _config: object, _progress: object) -> Any:
        self.runs.append("sum")
        return float(sum(v.sum() for v in inputs["detect"].values()))

    def _shift(self, inputs: Mapping[str, Any], config: Mapping[str, Any], _progress: object) -> Any:
        self.runs.append("shifted")
        return inputs["sum"] + config["shift"]


VIDEOS = source_items({"a": 3, "b": 5}, {"a": "content of a", "b": "content of b"})
TRUTH = 2.0 * (3 + 10) + 1.0


def run(stages: Counting, store: ArtifactStore | None, config: dict[str, Any] = CONFIG, **options: Any) -> Any:
    return run_stages(stages.table(), {"videos": VIDEOS}, config, NoProgress(), store=store, **options)


def test_without_a_store_every_stage_runs() -> None:
    stages = Counting()
    assert run(stages, None)["shifted"] == TRUTH
    assert stages.runs == ["detect", "detect", "sum", "shifted"]


def test_a_second_run_computes_nothing_and_gives_the_same(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()
    run(stages, store)
    stages.runs.clear()
    again = run(stages, store)
    assert again["shifted"] == TRUTH
    assert stages.runs == []
    assert again.reused == {"detect", "sum", "shifted"}


def test_a_changed_option_recomputes_only_what_reads_it(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()
    run(stages, store)
    stages.runs.clear()
    assert run(stages, store, {**CONFIG, "shift": 4.0, "unused": 9})["shifted"] == TRUTH + 3
    assert stages.runs == ["shifted"]


def test_a_changed_video_recomputes_its_own_camera_and_what_follows(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()
    run(stages, store)
    stages.runs.clear()
    videos = source_items({"a": 3, "b": 7}, {"a": "content of a", "b": "new content of b"})
    run_stages(stages.table(), {"videos": videos}, CONFIG, NoProgress(), store=store)
    assert stages.runs == ["detect", "sum", "shifted"]


def test_recompute_from_a_stage_ignores_what_is_stored_from_there_on(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()
    run(stages, store)
    stages.runs.clear()
    run(stages, store, recompute_from="sum")
    assert stages.runs == ["sum", "shifted"]


def test_an_unknown_stage_is_an_error_that_lists_the_stages() -> None:
    with pytest.raises(InputError) as caught:
        run(Counting(), None, recompute_from="detection")
    assert caught.value.code == "unknown-stage"
    assert "detect, sum, shifted" in caught.value.advice


def test_a_damaged_artifact_is_computed_again(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()
    first = run(stages, store)
    (store.place("sum", first.nodes["sum"].key) / "meta.json").write_text("{")
    stages.runs.clear()
    assert run(stages, store)["shifted"] == TRUTH
    assert stages.runs == ["sum"]


def test_keys_can_be_known_without_running(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()
    keys = stage_keys(stages.table(), {"videos": VIDEOS}, CONFIG)
    done = run(stages, store)
    assert {n: keys[n].key for n in keys} == {n: done.nodes[n].key for n in done.nodes}


def test_threads_give_the_same_result() -> None:
    assert run(Counting(), None, threads=2)["shifted"] == TRUTH


def test_cancelling_keeps_finished_stages_and_no_half_ones(tmp_path: Path) -> None:
    store, stages = ArtifactStore(tmp_path), Counting()

    class CancelsAtShift(NoProgress):
        def start(self, label: str, total: float | None) -> None:
            if label == "shifted":
                raise Cancelled()

    with pytest.raises(Cancelled):
        run_stages(stages.table(), {"videos": VIDEOS}, CONFIG, CancelsAtShift(), store=store)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["detect", "sum"]
    stages.runs.clear()
    assert run(stages, store)["shifted"] == TRUTH
    assert stages.runs == ["shifted"]


def test_a_failing_camera_stops_the_ones_that_have_not_begun() -> None:
    began: list[str] = []
    gate = threading.Lock()

    def detect(inputs: Mapping[str, Any], _config: object, _progress: object) -> Any:
        with gate:
            began.append(inputs["videos"])
        raise InputError("not-a-video", "no", "no")

    table = [Stage("detect", 1, ("videos",), detect, each=True)]
    videos = source_items({str(i): str(i) for i in range(31)}, {str(i): i for i in range(31)})
    with pytest.raises(InputError):
        run_stages(table, {"videos": videos}, {}, NoProgress(), threads=2)
    assert len(began) < 31


KILLED = """
import os, signal, sys, numpy as np
from pathlib import Path
from mocap.core.progress import NoProgress
from sessions.runner import Stage, run_stages, source
from sessions.store import ArtifactStore

def first(inputs, config, progress):
    return np.arange(inputs["n"]) * 1.5

def second(inputs, config, progress):
    if sys.argv[2] == "kill":
        # Half a second artifact is on disk when the process dies.
        part = Path(sys.argv[1]) / ".part-dead"
        part.mkdir()
        (part / "0.npy").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return inputs["first"] + 1

table = [Stage("first", 1, ("n",), first), Stage("second", 1, ("first",), second)]
store = ArtifactStore(Path(sys.argv[1]))
store.sweep()
done = run_stages(table, {"n": source(1000, 1000)}, {}, NoProgress(), store=store)
print(",".join(sorted(done.reused)), done["second"].sum())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL: not on Windows")
def test_a_killed_run_resumes_where_it_stopped_with_the_same_result(tmp_path: Path) -> None:
    def process(how: str, folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), how]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert process("kill", tmp_path / "killed").returncode == -signal.SIGKILL
    resumed = process("go", tmp_path / "killed")
    fresh = process("go", tmp_path / "fresh")
    assert resumed.stdout.split() == ["first", *fresh.stdout.split()]
    assert not list((tmp_path / "killed").glob(".part-*"))


def test_an_each_stage_needs_an_input_with_items() -> None:
    table = [Stage("detect", 1, ("n",), lambda *_: 1, each=True)]
    with pytest.raises(ValueError, match="none of its inputs has items"):
        run_stages(table, {"n": source(1, 1)}, {}, NoProgress())


def test_a_stage_that_keeps_parts_finds_those_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def work(inputs: Mapping[str, Any], _config: object, _progress: object) -> int:
        folder: Path = inputs["unfinished"]
        seen.append([p.name for p in folder.iterdir()] if folder.exists() else [])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "part").touch()
        if len(seen) == 1:
            raise Cancelled
        return 7

    table = [Stage("detect", 1, ("videos",), work, keeps_parts=True)]
    store, sources = ArtifactStore(tmp_path), {"videos": source(0, 0)}
    with pytest.raises(Cancelled):
        run_stages(table, sources, {}, NoProgress(), store=store)
    assert run_stages(table, sources, {}, NoProgress(), store=store)["detect"] == 7
    assert seen == [[], ["part"]]
    run_stages(table, sources, {}, NoProgress(), store=store, recompute_from="detect")
    assert seen[2] == [], "a finished stage leaves no parts"
