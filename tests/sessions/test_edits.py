"""Corrections by people: append-only, undone by appending, applied in order."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from calibration.match import PixelFit
from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.timeline import Timeline, TimeMap
from sessions.edits import append_edit, apply_edits, edited_clocks, placed_by_hand, read_edits, trimmed
from sessions.lock import take_lock

COCO = load_keypoint_set("coco17")
LEFT, RIGHT = COCO.names.index("LElbow"), COCO.names.index("RElbow")


def performer() -> Keypoints2D:
    xy = np.random.default_rng(5).uniform(0, 100, (3, 7, 1, 17, 2)).astype(np.float32)
    time_s = np.tile(np.arange(7) / 10, (3, 1))
    return Keypoints2D(COCO, ("a", "b", "c"), xy, np.full((3, 7, 1, 17), 0.5, np.float32), time_s)


def edited(path: Path) -> Keypoints2D:
    return apply_edits(performer(), read_edits(path))


def test_a_take_without_edits_stays_as_it_is(tmp_path: Path) -> None:
    assert np.array_equal(edited(tmp_path / "none.jsonl").xy_px, performer().xy_px)


def test_a_moved_point_is_where_the_person_put_it(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "move_point", camera="b", frame=4, keypoint="LElbow", xy_px=[12.5, 13.5])
    got = edited(path)
    assert got.xy_px[1, 4, 0, LEFT].tolist() == [12.5, 13.5]
    assert got.score[1, 4, 0, LEFT] == 1.0
    changed = (got.xy_px != performer().xy_px).any(-1)
    assert changed.sum() == 1


def test_a_keypoint_can_be_named_by_its_landmark(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "move_point", camera="a", frame=0, keypoint="LWrist", xy_px=[1.5, 2.5])
    mediapipe = load_keypoint_set("blazepose33")
    xy, score = np.zeros((1, 2, 1, 33, 2), np.float32), np.ones((1, 2, 1, 33), np.float32)
    got = apply_edits(Keypoints2D(mediapipe, ("a",), xy, score, np.array([[0.0, 0.1]])), read_edits(path))
    assert got.xy_px[0, 0, 0, mediapipe.names.index("left_wrist")].tolist() == [1.5, 2.5]


def test_a_mask_hides_keypoints_of_some_frames(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "mask", camera="a", start_frame=2, end_frame=5, keypoints=["LElbow"])
    append_edit(path, "mask", camera="c", start_frame=6, end_frame=7, keypoints=[])
    missing = np.asarray(np.isnan(edited(path).xy_px).any(-1))
    assert missing[0, 2:5, 0, LEFT].all()
    assert missing[2, 6].all()
    assert missing.sum() == 3 + 17


def test_swapped_sides_exchange_left_and_right(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "swap_sides", camera="a", start_frame=0, end_frame=1)
    before, after = performer().xy_px, edited(path).xy_px
    assert np.array_equal(after[0, 0, 0, LEFT], before[0, 0, 0, RIGHT])
    assert np.array_equal(after[0, 1:], before[0, 1:])


def test_trims_shorten_the_timeline_on_the_same_instants_and_leave_detections_alone(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "trim", start_s=0.2, end_s=0.5)
    append_edit(path, "trim", start_s=0.0, end_s=0.4)
    left = trimmed(Timeline(Fraction(10), 7), read_edits(path))
    assert left.time_s == pytest.approx([0.2, 0.3])
    assert np.array_equal(edited(path).xy_px, performer().xy_px, equal_nan=True)


def test_trims_that_leave_nothing_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "trim", start_s=5.0, end_s=6.0)
    with pytest.raises(InputError) as caught:
        trimmed(Timeline(Fraction(10), 7), read_edits(path))
    assert caught.value.code == "edit-invalid"


def test_a_placed_point_is_given_in_the_videos_pixels(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "move_point", camera="b", frame=4, keypoint="LElbow", xy_px=[100.0, 200.0])
    fit = PixelFit(np.array([[1.5, 0.0, 3.0], [0.0, 2.0, -7.0]]), "stretched", (640, 360), (960, 720))
    after = apply_edits(performer(), read_edits(path), {"a": fit, "b": fit})
    elbow = after.keypoint_set.names.index("LElbow")
    assert after.xy_px[1, 4, 0, elbow].tolist() == [153.0, 393.0]


def test_the_instant_of_a_placed_point_is_known_as_edited(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "move_point", camera="b", frame=4, keypoint="LElbow", xy_px=[100.0, 200.0])
    detections = performer()
    start_s = float(detections.time_s[1, 1])
    by_hand = placed_by_hand(detections, read_edits(path), Timeline(Fraction(10), 5, start_s))
    assert np.argwhere(by_hand).tolist() == [[3, detections.keypoint_set.names.index("LElbow")]]


def test_undo_takes_an_edit_back_and_undoing_the_undo_restores_it(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    trim = append_edit(path, "trim", start_s=0.2, end_s=0.5)
    undo = append_edit(path, "undo", edit=trim.id)
    assert read_edits(path) == []
    append_edit(path, "undo", edit=undo.id)
    assert read_edits(path) == [trim]
    assert len(path.read_text().splitlines()) == 3


def test_an_edit_cut_off_by_a_crash_is_dropped_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    first = append_edit(path, "trim", start_s=0.2, end_s=0.5)
    with path.open("a") as file:
        file.write('{"id": 2, "op": "tr')
    assert read_edits(path) == [first]
    second = append_edit(path, "trim", start_s=0.1, end_s=0.6)
    assert read_edits(path) == [first, second]


def test_an_edit_whose_line_lacks_its_end_counts_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    first = append_edit(path, "trim", start_s=0.2, end_s=0.5)
    path.write_text(path.read_text().rstrip("\n"))
    assert read_edits(path) == [first]
    second = append_edit(path, "trim", start_s=0.1, end_s=0.6)
    assert read_edits(path) == [first, second]


def test_a_number_is_not_given_again_after_a_line_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    for k in range(3):
        append_edit(path, "trim", start_s=0.0, end_s=1.0 + k)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))
    assert append_edit(path, "trim", start_s=0.0, end_s=9.0).id == 4


def test_two_edits_of_one_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "trim", start_s=0.2, end_s=0.5)
    path.write_text(path.read_text() * 2)
    with pytest.raises(InputError, match="line 2") as caught:
        read_edits(path)
    assert caught.value.code == "edits-unreadable"


def test_processes_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    code = (
        "import sys, pathlib; from sessions.edits import append_edit\n"
        "for k in range(10): append_edit(pathlib.Path(sys.argv[1]), 'nudge_clock', camera=sys.argv[2], by_s=float(k))"
    )
    with take_lock(tmp_path):  # a run holds the take meanwhile
        running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b", "c")]
        assert [process.wait(60) for process in running] == [0, 0, 0]
    edits = read_edits(path)
    assert [e.id for e in edits] == list(range(1, 31))
    for name in ("a", "b", "c"):
        assert [e.args["by_s"] for e in edits if e.args["camera"] == name] == list(range(10))


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("paint", {}),
        ("trim", {"start_s": 1.0}),
        ("trim", {"start_s": "1", "end_s": 2.0}),
        ("undo", {"edit": 1, "x": 2}),
        ("trim", {"start_s": 2.0, "end_s": 1.0}),
        ("trim", {"start_s": 0.0, "end_s": float("nan")}),
        ("move_point", {"camera": "a", "frame": 4, "keypoint": "LElbow", "xy_px": [float("nan"), 1.0]}),
        ("move_point", {"camera": "a", "frame": 4, "keypoint": "LElbow", "xy_px": [1.0, 2.0, 3.0]}),
    ],
)
def test_an_invalid_edit_is_refused_and_not_written(op: str, args: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        append_edit(tmp_path / "edits.jsonl", op, **args)
    assert caught.value.code == "edit-invalid"
    assert not (tmp_path / "edits.jsonl").exists()


def test_a_line_that_is_no_edit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    path.write_text('{"id": 1, "op": "trim", "start_s": 0, "end_s": 1}\nhello\n')
    with pytest.raises(InputError, match="line 2") as caught:
        read_edits(path)
    assert caught.value.code == "edits-unreadable"


@pytest.mark.parametrize(
    "args",
    [
        {"camera": "z", "frame": 4, "keypoint": "LElbow"},
        {"camera": "a", "frame": 7, "keypoint": "LElbow"},
        {"camera": "a", "frame": 4, "keypoint": "Tail"},
    ],
)
def test_an_edit_of_something_that_is_not_there_is_an_error(args: dict, tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "move_point", xy_px=[1.0, 2.0], **args)
    with pytest.raises(InputError) as caught:
        edited(path)
    assert caught.value.code == "edit-invalid"


def clocks(path: Path) -> tuple[dict[str, TimeMap], tuple[Diagnostic, ...]]:
    found = {"a": TimeMap(0.0, 0.0, 0.0), "b": TimeMap(0.25, 12.0, 0.001, ("audio",))}
    return edited_clocks(found, read_edits(path))


def test_a_nudged_clock_keeps_its_drift_and_says_whom_it_rests_on(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "nudge_clock", camera="b", by_s=0.0125)
    append_edit(path, "nudge_clock", camera="b", by_s=0.0125)
    maps, found = clocks(path)
    assert maps == {"a": TimeMap(0.0, 0.0, 0.0), "b": TimeMap(0.275, 12.0, 0.001, ("audio", "person"))}
    assert [d.code for d in found] == ["times-by-hand"]
    assert "b +0.2500 -> +0.2750 s" in found[0].message


def test_a_clock_that_was_set_has_no_known_sigma(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "set_clock", camera="b", offset_s=1)
    maps, _ = clocks(path)
    assert (maps["b"].offset_s, maps["b"].drift_ppm, maps["b"].methods) == (1.0, 12.0, ("person",))
    assert np.isnan(maps["b"].sigma_s)


def test_clocks_that_nobody_touched_are_as_they_were_found(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "trim", start_s=0, end_s=1)
    append_edit(path, "undo", edit=append_edit(path, "nudge_clock", camera="b", by_s=1.0).id)
    maps, found = clocks(path)
    assert maps["b"].offset_s == 0.25
    assert found == ()


def test_a_clock_of_a_camera_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    append_edit(path, "nudge_clock", camera="z", by_s=1.0)
    with pytest.raises(InputError) as caught:
        clocks(path)
    assert caught.value.code == "edit-invalid"


def test_edits_without_a_maker_are_read(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    path.write_text('{"id": 1, "op": "trim", "start_s": 0, "end_s": 1}\n')
    (edit,) = read_edits(path)
    assert (edit.at, edit.by) == (None, None)
