"""COCO keypoint annotations: what training and labelling programs read (COCO, "Data format", keypoint detection)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocap.core.keypoints import KeypointSet

UNLABELLED, HIDDEN, SEEN = 0, 1, 2
"""COCO's visibility of a keypoint."""
_PERSON = 1


@dataclass(frozen=True, eq=False)
class CocoView:
    """The people of one camera, frame by frame."""

    camera: str
    size_px: tuple[int, int]
    xy_px: np.ndarray
    """[frame person keypoint 2] pixels of the video, (0, 0) the centre of the upper left one; NaN where unknown."""
    score: np.ndarray
    """[frame person keypoint] 0..1"""
    visibility: np.ndarray
    """[frame person keypoint] UNLABELLED, HIDDEN or SEEN"""


def coco_document(
    keypoint_set: KeypointSet, views: Sequence[CocoView], *, only_labelled: bool = False
) -> dict[str, Any]:
    """Return images, annotations and the one category of some cameras.

    With `only_labelled` pictures without any label are left out: a picture without one says that nobody is in it.

    An image is named `<camera>_<frame>.jpg`. Beside what COCO has, an annotation carries `keypoint_scores` and
    `person`, the number of its track.
    """
    first_image = np.cumsum([0, *(len(v.xy_px) for v in views)]).tolist()
    images = [
        {
            "id": image + frame,
            "file_name": f"{view.camera}_{frame:06d}.jpg",
            "width": view.size_px[0],
            "height": view.size_px[1],
        }
        for view, image in zip(views, first_image, strict=False)
        for frame in range(len(view.xy_px))
    ]
    annotations = [a for view, image in zip(views, first_image, strict=False) for a in _annotations(view, image)]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    if only_labelled:
        labelled = {a["image_id"] for a in annotations}
        images = [i for i in images if i["id"] in labelled]
    category = {
        "id": _PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(keypoint_set.names),
        "skeleton": [[a + 1, b + 1] for a, b in keypoint_set.bones],
    }
    info = {"description": f"keypoints of the set {keypoint_set.name}", "keypoint_set": keypoint_set.name}
    return {"info": info, "images": images, "annotations": annotations, "categories": [category]}


def _annotations(view: CocoView, first_image: int) -> Iterator[dict[str, Any]]:
    labelled = np.isfinite(view.xy_px.sum(-1)) & (view.visibility > UNLABELLED)
    for frame, person in np.argwhere(labelled.any(-1)).tolist():
        known = labelled[frame, person]
        xy = np.where(known[:, None], view.xy_px[frame, person], 0.0)
        rows = np.column_stack([xy, np.where(known, view.visibility[frame, person], UNLABELLED)])
        low, high = xy[known].min(0), xy[known].max(0)
        width, height = (high - low).tolist()
        yield {
            "image_id": first_image + frame,
            "category_id": _PERSON,
            "keypoints": [round(v, 3) if i % 3 < 2 else int(v) for i, v in enumerate(rows.ravel().tolist())],
            "num_keypoints": int(known.sum()),
            "keypoint_scores": [round(v, 4) for v in np.where(known, view.score[frame, person], 0.0).tolist()],
            "bbox": [round(v, 3) for v in (*low.tolist(), width, height)],
            "area": round(width * height, 3),
            "iscrowd": 0,
            "person": person,
        }
