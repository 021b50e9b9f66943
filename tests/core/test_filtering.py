"""Filters as a person asks for them."""

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.core.filtering import parse_filter
from mocap.core.keypoints import Points3D, Source, load_keypoint_set

RATE_HZ = 60.0


@pytest.fixture
def points() -> Points3D:
    rng = np.random.default_rng(7)
    n_frames, keypoint_set = 97, load_keypoint_set("coco17")
    xyz = rng.normal(0, 0.02, (n_frames, len(keypoint_set), 3)) + rng.normal(size=(len(keypoint_set), 3))
    source = np.full(xyz.shape[:2], Source.MEASURED, np.uint8)
    return Points3D(keypoint_set, np.arange(n_frames) / RATE_HZ, xyz, np.full(source.shape, 0.02), source)


def test_a_filter_changes_only_the_keypoints_it_is_asked_for(points: Points3D) -> None:
    out = parse_filter("savgol:window_s=0.3:keypoints=LWrist,Nose").apply(points, RATE_HZ)
    changed = (out.xyz_m != points.xyz_m).any((0, 2))
    assert {n for n, c in zip(points.keypoint_set.names, changed, strict=True) if c} == {"LWrist", "Nose"}


def test_parameters_not_given_have_their_defaults() -> None:
    spec = parse_filter("butterworth:cutoff_hz=9")
    assert dict(spec.parameters) == {"cutoff_hz": 9.0, "order": 2}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("median", "filter-unknown"),
        ("butterworth:cutoff=6", "filter-parameter"),
        ("butterworth:cutoff_hz=six", "filter-parameter"),
        ("butterworth:cutoff_hz=-6", "filter-parameter"),
        ("savgol:window_s=inf", "filter-parameter"),
        ("butterworth:order=0.5", "filter-parameter"),
        ("butterworth:order=60", "filter-parameter"),
        ("one-euro:beta=nan", "filter-parameter"),
    ],
)
def test_what_no_filter_understands_is_an_error(text: str, code: str) -> None:
    with pytest.raises(InputError) as error:
        parse_filter(text)
    assert error.value.code == code


def test_filters_that_differ_have_files_of_their_own() -> None:
    texts = ["butterworth", "butterworth:cutoff_hz=3", "butterworth:order=4", "butterworth:keypoints=LWrist"]
    labels = [parse_filter(t).label for t in texts]
    assert labels == ["butterworth", "butterworth_cutoff_hz3", "butterworth_order4", "butterworth_LWrist"]


def test_one_euro_may_have_no_beta() -> None:
    assert parse_filter("one-euro:beta=0").parameters["beta"] == 0


@pytest.mark.parametrize(
    ("text", "code"), [("butterworth:cutoff_hz=31", "filter-parameter"), ("gcv:keypoints=tail", "filter-keypoint")]
)
def test_what_the_take_does_not_allow_is_an_error(text: str, code: str, points: Points3D) -> None:
    with pytest.raises(InputError) as error:
        parse_filter(text).apply(points, RATE_HZ)
    assert error.value.code == code
