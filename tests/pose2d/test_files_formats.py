"""2D keypoints of MMPose, AlphaPose, COCO, DeepLabCut and SLEAP."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.pose2d.files import read_keypoints

N, P, K = 7, 2, 26
XYS = np.random.default_rng(5).uniform(1, 900, (N, P, K, 3)).astype(np.float32)
XYS[..., 2] /= 1000
FEW = ("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "tail")


def instance(f: int, p: int) -> dict[str, Any]:
    return {"keypoints": XYS[f, p, :, :2].tolist(), "keypoint_scores": XYS[f, p, :, 2].tolist(), "bbox_score": 0.5}


def flat(f: int, p: int) -> list[float]:
    return XYS[f, p].ravel().tolist()


def mmpose_folder(root: Path) -> None:
    (root / "cam1").mkdir()
    for f in range(N):
        (root / "cam1" / f"{f:06d}.json").write_text(json.dumps([instance(f, p) for p in range(P)]))


def mmpose_video(root: Path) -> None:
    frames = [{"frame_id": f, "instances": [instance(f, p) for p in range(P)]} for f in range(N)]
    (root / "cam1.json").write_text(json.dumps(frames))


def mmpose_demo(root: Path) -> None:
    frames = [{"frame_id": f, "instances": [instance(f, p) for p in range(P)]} for f in range(N)]
    (root / "results_cam1.json").write_text(json.dumps({"meta_info": {}, "instance_info": frames}))


def alphapose(root: Path) -> None:
    items = [{"image_id": f"{f}.jpg", "keypoints": flat(f, p), "score": 2.9} for f in range(N) for p in range(P)]
    (root / "cam1").mkdir()
    (root / "cam1" / "alphapose-results.json").write_text(json.dumps(items))


def alphapose_open(root: Path) -> None:
    items = {f"{f}.jpg": {"people": [{"pose_keypoints_2d": flat(f, p)} for p in range(P)]} for f in range(N)}
    (root / "cam1.json").write_text(json.dumps(items))


def alphapose_cmu(root: Path) -> None:
    items = {f"{f}.jpg": {"bodies": [{"joints": flat(f, p)} for p in range(P)]} for f in range(N)}
    (root / "cam1.json").write_text(json.dumps(items))


def coco_results(root: Path) -> None:
    items = [{"image_id": f, "category_id": 1, "keypoints": flat(f, p)} for f in range(N) for p in range(P)]
    (root / "cam1.json").write_text(json.dumps(items))


@pytest.mark.parametrize(
    "write", [mmpose_folder, mmpose_video, mmpose_demo, alphapose, alphapose_open, alphapose_cmu, coco_results]
)
def test_json_layouts_hold_the_same_detections(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    d = read_keypoints(tmp_path, ["cam_01"], 50).detections["cam_01"]
    assert d.keypoint_set.name == "halpe26"
    np.testing.assert_array_equal(d.xy_px, XYS[..., :2])
    np.testing.assert_array_equal(d.score, XYS[..., 2])
    np.testing.assert_allclose(d.time_s, np.arange(N) / 50)


def test_coco_annotations_bring_names_and_visibility(tmp_path: Path) -> None:
    images = [{"id": 70 + f, "file_name": f"img_{f:04d}.png"} for f in range(3)]
    keypoints = [[11.0, 12.0, 2, 13.0, 14.0, 1, 0, 0, 0, 15.0, 16.0, 2, 17.0, 18.0, 2, 19.0, 20.0, 2]] * 2
    annotations = [{"image_id": 70 + 2 * i, "keypoints": k} for i, k in enumerate(keypoints)]
    document = {"images": images, "annotations": annotations, "categories": [{"keypoints": FEW}]}
    (tmp_path / "cam1.json").write_text(json.dumps(document))
    d = read_keypoints(tmp_path, ["cam1"], 50).detections["cam1"]
    assert d.keypoint_set.landmarks[:3] == ("LShoulder", "LElbow", "LWrist")
    assert d.score[0, 0].tolist() == [1, 0.5, 0, 1, 1, 1]
    assert np.isnan(d.xy_px[1]).all()
    assert np.isnan(d.xy_px[2, 0, 2]).all()


@pytest.mark.parametrize("pattern", ["frame_{0:06d}_png.rf.{1}.jpg", "frame_{:06d}_2d.jpg", "cam1/frame_{:06d}_2d.jpg"])
def test_image_names_count_by_the_number_that_differs(tmp_path: Path, pattern: str) -> None:
    items = [{"image_id": pattern.format(f, "8ab3c" * (1 + f % 2)), "keypoints": flat(f, 0)} for f in range(N)]
    (tmp_path / "cam1.json").write_text(json.dumps(items))
    d = read_keypoints(tmp_path, ["cam1"], 50).detections["cam1"]
    np.testing.assert_array_equal(d.xy_px[:, 0], XYS[:, 0, :, :2])


def test_two_images_of_one_frame_are_refused(tmp_path: Path) -> None:
    items = [{"image_id": name, "keypoints": flat(0, 0)} for name in ("a_1.jpg", "b_1.jpg")]
    (tmp_path / "cam1.json").write_text(json.dumps(items))
    with pytest.raises(InputError) as caught:
        read_keypoints(tmp_path, ["cam1"], 50)
    assert caught.value.code == "keypoints-frame-numbers"


def test_deeplabcut_rows_may_be_numbered_with_decimals_but_not_twice(tmp_path: Path) -> None:
    rows = dlc_rows(1)
    for f, row in enumerate(rows[-N:]):
        row[0] = f"{f}.0"
    path = tmp_path / "cam1.csv"
    path.write_text("\n".join(",".join(r) for r in rows))
    assert read_keypoints(tmp_path, ["cam1"], 50).detections["cam1"].xy_px.shape[0] == N
    path.write_text("\n".join(",".join(r) for r in [*rows, rows[-1]]))
    with pytest.raises(InputError) as caught:
        read_keypoints(tmp_path, ["cam1"], 50)
    assert caught.value.code == "keypoints-frame-numbers"


def dlc_rows(individuals: int) -> list[list[str]]:
    people = [f"ind{i + 1}" for i in range(individuals)]
    head = [("scorer", "m"), ("bodyparts", ""), ("coords", "")]
    columns = [(who, part, c) for who in people for part in FEW for c in ("x", "y", "likelihood")]
    rows = [[head[0][0]] + ["DLC_net"] * len(columns)]
    if individuals > 1:
        rows.append(["individuals"] + [c[0] for c in columns])
    rows.append(["bodyparts"] + [c[1] for c in columns])
    rows.append(["coords"] + [c[2] for c in columns])
    rows += [[str(f), *map(repr, XYS[f, :individuals, :6].ravel().tolist())] for f in range(N)]
    rows[-1][4:7] = ["", "", ""]
    return rows


@pytest.mark.parametrize("individuals", [1, 2])
def test_deeplabcut_tables(tmp_path: Path, individuals: int) -> None:
    text = "\n".join(",".join(r) for r in dlc_rows(individuals))
    (tmp_path / "cam1DLC_resnet50_shuffle1_500000.csv").write_text(text)
    d = read_keypoints(tmp_path, ["cam_1"], 50).detections["cam_1"]
    expected = XYS[:, :individuals, :6].copy()
    expected[-1, 0, 1] = [np.nan, np.nan, 0]
    np.testing.assert_array_equal(d.xy_px, expected[..., :2])
    np.testing.assert_array_equal(d.score, expected[..., 2])
    assert d.keypoint_set.names == FEW


@pytest.mark.parametrize("tracks", [["track_0", "track_1"], ["", ""]])
def test_sleap_tables_keep_tracks(tmp_path: Path, tracks: list[str]) -> None:
    head = ["track", "frame_idx", "instance.score"] + [f"{n}.{c}" for n in FEW for c in ("x", "y", "score")]
    rows = [head]
    for f in range(N):
        for p in (1, 0) if f == 3 and tracks[0] else (0, 1):
            rows.append([tracks[p], str(f), "0.9", *map(repr, XYS[f, p, :6].ravel().tolist())])
    (tmp_path / "cam1.csv").write_text("\n".join(",".join(r) for r in rows))
    d = read_keypoints(tmp_path, ["cam_1"], 50).detections["cam_1"]
    np.testing.assert_array_equal(d.xy_px, XYS[:, :, :6, :2])


def write_pandas_table(path: Path, columns: list[tuple[str, ...]], table: np.ndarray, labels: object = None) -> None:
    """Write what `DataFrame.to_hdf(format="table")` of pandas writes, as far as a reader needs it."""
    rows = np.zeros(len(table), [("index", "<i8"), ("values_block_0", "<f8", (table.shape[1],))])
    rows["index"], rows["values_block_0"] = np.arange(len(table)), table
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_(b"frame_table")
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps(labels or [(1, columns)], protocol=0))
        group["table"] = rows


@pytest.mark.parametrize("individuals", [1, 2])
def test_deeplabcut_hdf5(tmp_path: Path, individuals: int) -> None:
    people = [("DLC_net",)] if individuals == 1 else [("DLC_net", f"ind{i}") for i in range(individuals)]
    columns = [(*who, part, c) for who in people for part in FEW for c in ("x", "y", "likelihood")]
    write_pandas_table(tmp_path / "cam1DLC_net.h5", columns, XYS[:, :individuals, :6].reshape(N, -1))
    (tmp_path / "cam1DLC_net.csv").write_text("\n".join(",".join(r) for r in dlc_rows(individuals)))
    from_csv = read_keypoints(tmp_path, ["cam_1"], 50).detections["cam_1"]
    (tmp_path / "cam1DLC_net.csv").unlink()
    d = read_keypoints(tmp_path, ["cam_1"], 50).detections["cam_1"]
    np.testing.assert_array_equal(d.xy_px, XYS[:, :individuals, :6, :2])
    np.testing.assert_array_equal(d.xy_px[:-1], from_csv.xy_px[:-1])
    assert d.keypoint_set.names == FEW


@pytest.mark.parametrize("n_tracks", [2, 31])
def test_sleap_hdf5(tmp_path: Path, n_tracks: int) -> None:
    """Few tracks stay apart; many are fragments, numbered within each frame."""
    tracks, scores = np.full((n_tracks, 2, 6, N), np.nan), np.zeros((n_tracks, 6, N))
    for f in range(N):
        for p in range(P):
            t = p if n_tracks == P else P * f + p
            tracks[t, :, :, f], scores[t, :, f] = XYS[f, p, :6, :2].T, XYS[f, p, :6, 2]
    with h5py.File(tmp_path / "cam1.analysis.h5", "w") as file:
        file["tracks"], file["point_scores"] = tracks, scores
        file["node_names"] = np.array([n.encode() for n in FEW])
    d = read_keypoints(tmp_path, ["cam_1"], 50).detections["cam_1"]
    np.testing.assert_array_equal(d.xy_px, XYS[:, :, :6, :2])
    np.testing.assert_array_equal(d.score, XYS[:, :, :6, 2])


def test_an_hdf5_file_cannot_run_anything(tmp_path: Path) -> None:
    write_pandas_table(tmp_path / "cam1.h5", [], XYS[:, 0, :6].reshape(N, -1), labels=Path("x"))
    with pytest.raises(InputError, match="is no text") as error:
        read_keypoints(tmp_path, ["cam_1"], 50)
    assert error.value.code == "keypoints-broken"


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n broken"])
def test_a_broken_hdf5_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cam1.h5").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_keypoints(tmp_path, ["cam_1"], 50)
    assert error.value.code == "keypoints-broken"
    assert "cam1.h5" in error.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cam1.csv", ""),
        ("cam1.csv", "a,b\n1,2\n"),
        ("cam1.csv", "scorer,m,m,m\nbodyparts,a,a,a\n1,2,3,4\n"),
        ("cam1.csv", "scorer,m,m,m\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,1,two,0.5\n"),
        ("cam1.json", '[{"image_id": "x.jpg", "keypoints": [1, 2, 3]}]'),
        ("cam1.json", '[{"frame_id": 0, "instances": [{"keypoints": [[1, 2]], "keypoint_scores": [0.5, 0.5]}]}]'),
        ("cam1.json", '{"images": [], "annotations": [{"image_id": 3, "keypoints": [1, 2, 2]}]}'),
    ],
)
def test_broken_tables_and_lists_are_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        read_keypoints(tmp_path, ["cam1"], 50)
    assert error.value.code == "keypoints-broken"
    assert name in error.value.message
