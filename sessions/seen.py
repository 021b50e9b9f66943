"""What a take's cameras saw as far as it is known without computing anything: keypoint names and the time they span."""

from __future__ import annotations

from mocap.core.keypoints import Keypoints2D, KeypointSet, load_keypoint_set
from mocap.pose2d.cards import card_names, load_card
from mocap.pose2d.models import resolve
from sessions.folder import Session, Take
from sessions.process import settings_of, take_sources
from sessions.runner import stage_keys
from sessions.stages import FROM_FOOTAGE


def stored_views(session: Session, take: Take) -> Keypoints2D | None:
    """Return all cameras' detections in master time where a run has left them. Raises as `take_sources`."""
    keys = stage_keys(FROM_FOOTAGE, take_sources(session, take)[0], settings_of(session, take))
    found = take.store.load("views", keys["views"].key)
    return None if found is None else found.value


def keypoint_set_of(session: Session, take: Take, views: Keypoints2D | None) -> KeypointSet | None:
    """Return the keypoints of a take: of its detections, else of its model; None where only a run will tell."""
    if views is not None:
        return views.keypoint_set
    settings = settings_of(session, take)
    model = resolve(settings["model"], settings["quality"])
    return load_keypoint_set(load_card(model)["keypoint_set"]) if model in card_names() else None
