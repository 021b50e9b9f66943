"""OpenPose-style folders: one folder per camera, one JSON file per frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.core.diagnostics import Severity
from mocap.core.errors import Cancelled, InputError
from mocap.core.keypoints import load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.pose2d.files import SIZE_UNKNOWN, KeypointFiles, read_keypoints

CAMERAS = ("cam_1", "cam_2", "cam_3", "cam_4", "cam_5")
K = 26


def values(camera: int, frame: int, person: int) -> list[float]:
    """A different number at every place."""
    k = np.arange(K)
    xys = np.stack([100 * camera + frame + k / 32, 500 + 50 * person + k / 16, (k + 1) / 32], 1)
    return xys.ravel().tolist()


def write(path: Path, people: list[list[float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"person_id": [-1], "pose_keypoints_2d": p, "hand_left_keypoints_2d": []} for p in people]
    path.write_text(json.dumps({"version": 1.3, "people": entries}))


def take(root: Path, numbers: range = range(7), n_people: int = 2) -> Path:
    for c in range(5):
        for f in numbers:
            write(
                root / f"cam{c + 1:02d}_json" / f"cam{c + 1:02d}_{f:06d}.json",
                [values(c, f, p) for p in range(n_people)],
            )
    return root


def read(root: Path, **options: Any) -> KeypointFiles:
    return read_keypoints(root, CAMERAS, Fraction(60), **options)


def code_of(root: Path, **options: Any) -> InputError:
    with pytest.raises(InputError) as error:
        read(root, **options)
    return error.value


def test_everything_lands_at_its_camera_frame_and_person(tmp_path: Path) -> None:
    detections, diagnostics = read(take(tmp_path))
    assert tuple(detections) == CAMERAS
    assert diagnostics == []
    for c, d in enumerate(detections.values()):
        assert d.xy_px.shape == (7, 2, K, 2)
        assert d.size_px == SIZE_UNKNOWN
        for f in range(7):
            for p in range(2):
                expected = np.array(values(c, f, p), np.float32).reshape(K, 3)
                np.testing.assert_array_equal(d.xy_px[f, p], expected[:, :2])
                np.testing.assert_array_equal(d.score[f, p], expected[:, 2])


def test_frame_k_is_at_k_over_fps_whatever_number_the_take_starts_at(tmp_path: Path) -> None:
    take(tmp_path, range(100, 107))
    (tmp_path / "cam02_json" / "cam02_000100.json").unlink()
    detections, _ = read_keypoints(tmp_path, CAMERAS, Fraction(60000, 1001))
    assert detections["cam_2"].n_frames == 7
    np.testing.assert_allclose(detections["cam_1"].time_s, np.arange(100, 107) * 1001 / 60000, atol=1e-12)
    np.testing.assert_array_equal(detections["cam_2"].time_s, detections["cam_1"].time_s)
    assert np.isnan(detections["cam_2"].xy_px[0]).all()


def test_missing_frames_are_nan_and_reported(tmp_path: Path) -> None:
    take(tmp_path)
    for f in (2, 3, 5):
        (tmp_path / "cam03_json" / f"cam03_{f:06d}.json").unlink()
    detections, diagnostics = read(tmp_path)
    seen = np.isfinite(detections["cam_3"].xy_px).any((1, 2, 3))
    assert seen.tolist() == [True, True, False, False, True, False, True]
    assert [d.code for d in diagnostics] == ["keypoints-missing-frames"]
    assert diagnostics[0].data == {"camera": "cam_3", "missing": 3, "gaps": [(2, 3), (5, 5)]}
    assert "2-3, 5" in diagnostics[0].message


def test_frames_missing_at_the_start_of_one_camera_are_reported(tmp_path: Path) -> None:
    take(tmp_path, range(3, 14))
    for f in (3, 4):
        (tmp_path / "cam03_json" / f"cam03_{f:06d}.json").unlink()
    _, diagnostics = read(tmp_path)
    assert [(d.code, d.severity) for d in diagnostics] == [("keypoints-missing-frames", Severity.WARNING)]
    assert diagnostics[0].data == {"camera": "cam_3", "missing": 2, "gaps": [(3, 4)]}
    assert "2 of 11 frames" in diagnostics[0].message


def test_a_camera_that_ends_before_the_others_lacks_nothing_after_its_end(tmp_path: Path) -> None:
    take(tmp_path, range(3, 14))
    for f in (6, 11, 12, 13):
        (tmp_path / "cam03_json" / f"cam03_{f:06d}.json").unlink()
    detections, diagnostics = read(tmp_path)
    assert detections["cam_3"].n_frames == 8
    ends, missing = diagnostics
    assert (ends.code, ends.severity) == ("keypoints-camera-ends-early", Severity.INFO)
    assert ends.data == {"camera": "cam_3", "last": 10, "last_of_take": 13}
    assert missing.code == "keypoints-missing-frames"
    assert missing.data == {"camera": "cam_3", "missing": 1, "gaps": [(6, 6)]}
    assert "1 of 8 frames" in missing.message


def test_zeros_nulls_and_score_0_are_missing_not_coordinates(tmp_path: Path) -> None:
    take(tmp_path, range(2))
    odd: list[Any] = values(0, 0, 0)
    odd[:12] = [0.0, 0.0, 0.0, 5.0, 6.0, 0.0, None, None, None, 7.0, 8.0, 1.5]
    write(tmp_path / "cam01_json" / "cam01_000000.json", [odd])
    d = read(tmp_path).detections["cam_1"]
    assert np.isnan(d.xy_px[0, 0, :3]).all()
    assert d.score[0, 0, :4].tolist() == [0, 0, 0, 1]
    assert np.isnan(d.xy_px[0, 1]).all()


def test_a_camera_that_sees_nobody_is_reported_and_nan(tmp_path: Path) -> None:
    take(tmp_path)
    for f in range(7):
        write(tmp_path / "cam04_json" / f"cam04_{f:06d}.json", [])
    detections, diagnostics = read(tmp_path)
    assert [d.code for d in diagnostics] == ["keypoints-camera-without-people"]
    assert detections["cam_4"].n_frames == 7
    assert not np.isfinite(detections["cam_4"].xy_px).any()


def test_nobody_in_any_camera_is_an_error(tmp_path: Path) -> None:
    assert code_of(take(tmp_path, n_people=0)).code == "keypoints-no-people"


@pytest.mark.parametrize("where", [(1, 0), (3, 4)])
def test_another_keypoint_count_names_file_frame_and_counts(tmp_path: Path, where: tuple[int, int]) -> None:
    c, f = where
    take(tmp_path)
    write(tmp_path / f"cam{c + 1:02d}_json" / f"cam{c + 1:02d}_{f:06d}.json", [values(c, f, 0)[:-3]])
    error = code_of(tmp_path)
    assert error.code == "keypoints-count"
    assert f"cam{c + 1:02d}_json" in error.message
    if f:
        assert f"frame {f}: expected 26 keypoints" in error.message
        assert "got 75 values (25 keypoints)" in error.message


def test_a_camera_with_another_set_is_read_by_landmark_and_said(tmp_path: Path) -> None:
    take(tmp_path, range(1))
    write(tmp_path / "cam05_json" / "cam05_000000.json", [values(4, 0, 0)[: 17 * 3]])
    detections, diagnostics = read(tmp_path, keypoint_set="coco17")
    halpe, coco = load_keypoint_set("halpe26"), load_keypoint_set("coco17")
    assert {d.keypoint_set.name for d in detections.values()} == {"halpe26"}
    xy = detections["cam_5"].xy_px[0, 0]
    own = np.array(values(4, 0, 0), np.float32).reshape(K, 3)
    np.testing.assert_array_equal(xy[halpe.index("LWrist")], own[coco.index("LWrist"), :2])
    assert np.isnan(xy[halpe.index("LHeel")]).all()
    assert detections["cam_5"].score[0, 0, halpe.index("LHeel")] == 0
    assert [d.code for d in diagnostics] == ["keypoint-sets-mixed"]
    assert diagnostics[0].data["cameras"] == {"cam_5": "coco17"}


def test_one_camera_of_a_richer_set_does_not_decide(tmp_path: Path) -> None:
    take(tmp_path, range(1))
    for c in range(4):
        write(tmp_path / f"cam{c + 1:02d}_json" / "x_000000.json", [values(c, 0, 0)[: 17 * 3]])
        (tmp_path / f"cam{c + 1:02d}_json" / f"cam{c + 1:02d}_000000.json").unlink()
    detections, _ = read(tmp_path, keypoint_set="coco17")
    assert {d.keypoint_set.name for d in detections.values()} == {"coco17"}


@pytest.mark.parametrize(
    "content", ["", '{"people": [', "[1, 2", '{"people": [{"pose_keypoints_2d": ["a"]}]}', "\udcff"]
)
@pytest.mark.parametrize("frame", [0, 3])
def test_a_broken_file_is_named(tmp_path: Path, content: str, frame: int) -> None:
    take(tmp_path)
    broken = tmp_path / "cam02_json" / f"cam02_{frame:06d}.json"
    broken.write_bytes(content.encode("utf-8", "surrogateescape"))
    error = code_of(tmp_path)
    assert error.code in ("keypoints-broken", "keypoints-count")
    assert str(broken) in error.message


def test_json_of_another_kind_is_an_error(tmp_path: Path) -> None:
    take(tmp_path)
    for f in range(7):
        (tmp_path / "cam01_json" / f"cam01_{f:06d}.json").write_text('{"frames": 3}')
    assert code_of(tmp_path).code == "keypoints-format-unknown"


def test_folder_errors(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nothing").code == "keypoints-folder-missing"
    (tmp_path / "empty" / "cam01").mkdir(parents=True)
    assert code_of(tmp_path / "empty").code == "keypoints-folder-empty"
    take(tmp_path / "outer" / "pose", range(1))
    error = code_of(tmp_path / "outer")
    assert error.code == "keypoints-folder-empty"
    assert "pose" in error.advice


def test_the_advice_names_the_subfolder_that_has_keypoints(tmp_path: Path) -> None:
    (tmp_path / "calib-2d" / "cam01").mkdir(parents=True)
    take(tmp_path / "pose-2d", range(1))
    assert "pose-2d" in code_of(tmp_path).advice
    (tmp_path / "bare" / "calib-2d" / "cam01").mkdir(parents=True)
    assert "calib-2d" not in code_of(tmp_path / "bare").advice


def test_one_cameras_folder_is_told_from_the_folder_above_it(tmp_path: Path) -> None:
    take(tmp_path, range(23))
    error = code_of(tmp_path / "cam02_json")
    assert error.code == "keypoints-folder-of-one"
    assert str(tmp_path) in error.advice
    assert error.message.count(".json") == 2


def test_a_camera_without_folder_and_a_wrong_rate_are_errors(tmp_path: Path) -> None:
    take(tmp_path, range(1))
    (tmp_path / "cam02_json" / "cam02_000000.json").unlink()
    error = code_of(tmp_path)
    assert error.code == "camera-count-mismatch"
    assert "nothing for cam_2" in error.message
    with pytest.raises(InputError) as wrong:
        read_keypoints(tmp_path, CAMERAS, 0)
    assert wrong.value.code == "fps-invalid"


def test_frame_numbers_come_from_the_field_that_counts(tmp_path: Path) -> None:
    for f in range(7):
        write(tmp_path / "a" / f"take2_{f + 3:04d}_2d.json", [values(0, f, 0)])
    d = read_keypoints(tmp_path, ["a"], 60).detections["a"]
    np.testing.assert_allclose(d.time_s * 60, np.arange(3, 10))


@pytest.mark.parametrize("names", [["x1_a", "x1_b"], ["one", "two"], ["1", "900000000"]])
def test_names_that_do_not_number_frames_are_an_error(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write(tmp_path / "a" / f"{name}.json", [values(0, 0, 0)])
    with pytest.raises(InputError) as error:
        read_keypoints(tmp_path, ["a"], 60)
    assert error.value.code == "keypoints-frame-numbers"


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    class Stop(NoProgress):
        def advance(self, amount: float = 1.0) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        read(take(tmp_path, range(2)), progress=Stop())


def test_a_bench_take_is_read_whole(shared: Callable[[str], Path]) -> None:
    folder = shared("data/pose2sim_demo/openpose_2024_two_person") / "T01_Balancing_single" / "pose-associated"
    detections, _ = read_keypoints(folder, ["cam_01", "cam_02", "cam_03", "cam_04"], 60)
    assert all(d.xy_px.shape == (100, 1, 25, 2) and (d.score > 0).mean() > 0.9 for d in detections.values())
