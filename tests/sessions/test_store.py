"""Artifacts are found again by content, whole or not at all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.timeline import Timeline, TimeMap
from sessions.codec import CodecError, decode, encode
from sessions.store import ArtifactStore, content_key

KEY = "0" * 32


def detections() -> Keypoints2D:
    keypoints = load_keypoint_set("coco17")
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 1000, (5, 7, 2, 17, 2)).astype(np.float32)
    score = rng.uniform(0.1, 1, (5, 7, 2, 17)).astype(np.float32)
    xy[1, 2], score[1, 2] = np.nan, 0
    time_s = np.tile(np.arange(7) / 60, (5, 1))
    return Keypoints2D(keypoints, ("a", "b", "c", "d", "e"), xy, score, time_s)


def rig() -> CameraRig:
    lens = Intrinsics((1920, 1080), np.array([900.0, 901.0]), np.array([960.0, 540.0]), np.zeros(4), LensModel.FISHEYE)
    return CameraRig((Camera("cam1", lens, np.eye(3), np.array([0.1, 0.2, 3.0])),))


def same(a: object, b: object) -> bool:
    return json.dumps(encode(a)[0]) == json.dumps(encode(b)[0]) and all(
        np.array_equal(x, y, equal_nan=True) and x.dtype == y.dtype
        for x, y in zip(encode(a)[1].values(), encode(b)[1].values(), strict=True)
    )


@pytest.mark.parametrize(
    "value",
    [
        detections(),
        rig(),
        Timeline(Fraction(60000, 1001), 11, -0.25),
        {"cam 1": TimeMap(0.5, -3.0, methods=("audio",)), "cam2": TimeMap()},
        (Path("a/b.mp4"), [1, 2.5, None, True, "text", float("inf")], Severity.QUALITY, {3: (4,)}),
        Diagnostic("code", Severity.INFO, "text", {"values": [1.0, 2.0]}),
    ],
    ids=["keypoints", "rig", "timeline", "time-maps", "mixed", "diagnostic"],
)
def test_a_stored_value_comes_back_as_it_was(value: object, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    store.save("stage", KEY, value, {"version": 1})
    found = store.load("stage", KEY)
    assert found is not None
    assert type(found.value) is type(value)
    assert same(found.value, value)
    assert found.about == {"version": 1}


def test_a_value_without_stored_form_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match="no stored form"):
        ArtifactStore(tmp_path).save("stage", KEY, object(), {})
    assert list(tmp_path.rglob("*")) == []


def test_stored_text_cannot_name_a_type_of_another_package() -> None:
    with pytest.raises(CodecError, match="not a data type of this program"):
        decode({"$type": "subprocess:Popen", "fields": {"args": ["true"]}}, {})


def damage_array(folder: Path) -> None:
    path = next(folder.glob("*.npy"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        damage_array,
        lambda f: next(f.glob("*.npy")).unlink(),
        lambda f: next(f.glob("*.npy")).write_bytes(b""),
        lambda f: (f / "meta.json").unlink(),
        lambda f: (f / "meta.json").write_text((f / "meta.json").read_text()[:-9]),
        lambda f: (f / "meta.json").write_text("[]"),
        lambda f: (f / "meta.json").write_text((f / "meta.json").read_text().replace("coco17", "coco18x")[::-1]),
        lambda f: (f / "meta.json").write_text((f / "meta.json").read_text().replace(".keypoints:", ".gone:")),
    ],
    ids=["bit", "array-gone", "array-empty", "meta-gone", "meta-cut", "meta-other", "meta-noise", "type-gone"],
)
def test_a_damaged_artifact_is_deleted_and_counts_as_absent(damage, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    store.save("stage", KEY, detections(), {})
    damage(store.place("stage", KEY))
    assert store.load("stage", KEY) is None
    assert not store.place("stage", KEY).exists()
    store.save("stage", KEY, detections(), {})
    assert store.load("stage", KEY) is not None


def test_saving_the_same_key_twice_keeps_one_whole_artifact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for _ in range(2):
        store.save("stage", KEY, rig(), {})
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]
    assert store.load("stage", KEY) is not None


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    (tmp_path / ".part-123").mkdir()
    (tmp_path / ".part-123" / "0.npy").write_bytes(b"half")
    store.sweep()
    assert list(tmp_path.iterdir()) == []


def test_equal_content_has_equal_keys_whatever_the_order_of_names() -> None:
    assert content_key({"a": 1, "b": (1.5, None)}) == content_key({"b": [1.5, None], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
