"""Cameras and clocks solved together with the performer's skeleton, in rounds of points, solve and a step of theirs.

A calibration is never exact. The skeleton knows more than points that stand alone: bones that do not change, smooth
motion, soles that stand. So the cameras' places, directions and clocks can be unknowns of its solve too
(`mocap.solve.cameras`). Where all cameras move, turn or grow alike nothing tells it: the rig stays where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.refine_align import aligned
from calibration.refine_bundle import Poses
from mocap.core.camera import Camera, CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.performer import PerformerProfile
from mocap.core.progress import Progress
from mocap.core.timeline import Timeline, TimeMap
from mocap.kernels.camera_terms import DRIFT, N_UNKNOWNS, OFFSET, SHIFT, TURN
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.cameras import CameraSystem, camera_system
from sessions.clock_placing import placed_clocks
from sessions.config import UNKNOWNS

CAMERAS, CLOCKS = UNKNOWNS
PRIOR_TURN_RAD = np.radians(0.2)
PRIOR_SHIFT_M = 0.02
PRIOR_OFFSET_S = 0.02
PRIOR_DRIFT = 1e-4
"""How wrong a camera may be (1 sd): what a board leaves open, about a frame, and what cheap clocks differ by."""
HELD = 1e-9
STRETCH_S = 12.0
MAX_STRETCHES = 4
"""Of a long take so many stretches are looked at, spread over it: cameras do not change, and clocks drift evenly."""
MAX_ROUNDS = 4
DONE = 2.0
"""A step that raises the log likelihood by less is the last."""
MIN_SD = 6.0
"""The steps together must explain more than chance would, by so many standard deviations of that."""
IMPLAUSIBLE_SD = 6.0
VIEWING_DISTANCE_M = 5.0


@dataclass(frozen=True, eq=False)
class SolvedCameras:
    """The rig and the corrections of clocks that the rest of the take is solved with."""

    rig: CameraRig
    is_rig_moved: bool
    clocks: dict[str, TimeMap]
    """By camera: corrected master time from the master time it had; with sigma. Empty: clocks are as they were."""
    diagnostics: tuple[Diagnostic, ...] = ()

    def timed(self, detections: Keypoints2D) -> Keypoints2D:
        """Return the detections at their corrected times."""
        if not self.clocks:
            return detections
        corrected = [
            self.clocks[n].master_time_s(t) for n, t in zip(detections.camera_names, detections.time_s, strict=True)
        ]
        return replace(detections, time_s=np.stack(corrected))


def times_of(solved: SolvedCameras, given: Mapping[str, TimeMap]) -> dict[str, Any]:
    """Return the clocks as `mocap sync` writes them: the corrections after those `given`, the first the reference."""
    both: dict[str, tuple[float, float]] = {}
    for name, correction in solved.clocks.items():
        before = given.get(name, TimeMap())
        rate = (1 + 1e-6 * correction.drift_ppm) * (1 + 1e-6 * before.drift_ppm)
        both[name] = (correction.offset_s + (1 + 1e-6 * correction.drift_ppm) * before.offset_s, rate)
    reference = next(iter(both))
    offset_s, rate = both[reference]
    cameras = {
        name: {
            "offset_s": (own_s - offset_s) / rate,
            "drift_ppm": 1e6 * (own_rate / rate - 1),
            "sigma_s": solved.clocks[name].sigma_s,
            "methods": ["skeleton"],
        }
        for name, (own_s, own_rate) in both.items()
    }
    return {"reference": reference, "cameras": cameras}


def solve_cameras(
    rig: CameraRig,
    detections: Keypoints2D,
    timeline: Timeline,
    unknowns: tuple[str, ...],
    performer: PerformerProfile | None,
    progress: Progress,
) -> SolvedCameras:
    """Return the rig and clocks that fit one person's detections best, with the whole skeleton's motion free.

    `unknowns` of UNKNOWNS. The first camera's clock is kept: a common shift cannot be told. The cost does not grow with
    the take beyond MAX_STRETCHES of STRETCH_S. Raises what `solve_take` raises.
    """
    start = SolvedCameras(rig, False, _far_off(rig, detections, timeline, progress) if CLOCKS in unknowns else {})
    work = _Work(start, timeline, unknowns)
    found, covariance = start, np.linalg.inv(work.prior)
    gain = gained = 0.0
    progress.start("Solving cameras with the skeleton", MAX_ROUNDS)
    for _ in range(MAX_ROUNDS):
        system = work.system(found, detections, performer)
        right = system.slope + work.prior @ work.off(found).ravel()
        covariance = np.linalg.inv(system.hessian + work.prior)
        step = -covariance @ right
        gained = _gain(step, covariance, work.is_free.ravel())
        gain, found = gain + gained, work.moved(found, np.where(work.is_free, step.reshape(-1, N_UNKNOWNS), 0.0))
        progress.advance()
        if gained < DONE:
            break
    progress.finish()
    return work.judged(found, gain, gained, np.sqrt(np.diag(covariance)).reshape(-1, N_UNKNOWNS))


def _far_off(rig: CameraRig, detections: Keypoints2D, timeline: Timeline, progress: Progress) -> dict[str, TimeMap]:
    """Return corrections of the clocks that are far off, as all stretches of the take tell them together."""
    parts = [_between(detections, low_s, high_s) for low_s, high_s in _stretches(timeline)]
    return placed_clocks(rig, parts, timeline.fps, progress)


def _gain(step: np.ndarray, covariance: np.ndarray, is_free: np.ndarray) -> float:
    """Return what a step of the free unknowns adds to the log likelihood, whatever the others then do best."""
    free = step[is_free]
    return 0.5 * float(free @ np.linalg.solve(covariance[np.ix_(is_free, is_free)], free))


class _Work:
    """What stays the same from round to round. Where cameras are kept, clocks are found as if they could be off too."""

    def __init__(self, start: SolvedCameras, timeline: Timeline, unknowns: tuple[str, ...]) -> None:
        self.start, self.rig, self.timeline, self.unknowns = start, start.rig, timeline, unknowns
        self.middle_s = timeline.start_s + 0.5 * timeline.n_frames / float(timeline.fps)
        sd = np.full((len(self.rig), N_UNKNOWNS), HELD)
        sd[:, TURN], sd[:, SHIFT] = PRIOR_TURN_RAD, PRIOR_SHIFT_M
        self.is_free = np.zeros(sd.shape, bool)
        if CAMERAS in unknowns:
            self.is_free[:, : SHIFT.stop] = True
        if CLOCKS in unknowns:
            sd[1:, OFFSET], sd[1:, DRIFT] = PRIOR_OFFSET_S, PRIOR_DRIFT
            self.is_free[1:, OFFSET:] = True
        self.sd, self.prior = sd, np.diag(sd.ravel() ** -2.0)

    def system(self, found: SolvedCameras, detections: Keypoints2D, performer: PerformerProfile | None) -> CameraSystem:
        """Return what the stretches of the take say of cameras as they were found so far."""
        timed, told, untold = found.timed(detections), list[CameraSystem](), list[InputError]()
        for low_s, high_s in _stretches(self.timeline):
            part = _between(timed, low_s, high_s)
            timeline = common_timeline(part.time_s, self.timeline.fps)
            try:
                points = reconstruct_points(part, found.rig, timeline)
                told.append(camera_system(found.rig, points, self.middle_s, performer))
            except InputError as error:  # nobody is there for that long: the other stretches tell
                untold.append(error)
        if not told:
            raise untold[0]
        return CameraSystem(np.sum([s.hessian for s in told], axis=0), np.sum([s.slope for s in told], axis=0))

    def off(self, found: SolvedCameras) -> np.ndarray:
        """Return how far cameras and clocks are [camera 8] from where the solve found them."""
        out = np.zeros((len(self.rig), N_UNKNOWNS))
        for c, (camera, given) in enumerate(zip(found.rig.cameras, self.rig.cameras, strict=True)):
            turn = camera.R_cam_from_world @ given.R_cam_from_world.T
            out[c, TURN] = quat_log(matrix_to_quat(turn))
            out[c, SHIFT] = camera.t_cam_from_world_m - turn @ given.t_cam_from_world_m
            clock = found.clocks.get(camera.name, TimeMap())
            out[c, OFFSET] = self._shift_s(clock) - self._shift_s(self.start.clocks.get(camera.name, TimeMap()))
            out[c, DRIFT] = 1e-6 * clock.drift_ppm
        return out

    def _shift_s(self, clock: TimeMap) -> float:
        """Return what a correction does to the middle of the take."""
        return float(clock.master_time_s(np.array(self.middle_s))) - self.middle_s

    def moved(self, found: SolvedCameras, step: np.ndarray) -> SolvedCameras:
        """Return cameras and clocks after a step [camera 8], in the world of the rig as it was given."""
        cameras: list[Camera] = []
        for camera, of_camera in zip(found.rig.cameras, step, strict=True):
            turn = quat_to_matrix(quat_exp(of_camera[TURN]))
            shifted = turn @ camera.t_cam_from_world_m + of_camera[SHIFT]
            cameras.append(camera.with_extrinsics(turn @ camera.R_cam_from_world, shifted))
        rig, clocks = CameraRig(tuple(cameras)), found.clocks
        if CAMERAS in self.unknowns:
            rig = aligned(Poses.of(rig), Poses.of(self.rig), VIEWING_DISTANCE_M)[0].rig(self.rig)
        if CLOCKS in self.unknowns:
            clocks = {
                name: _after(clocks.get(name, TimeMap()), of_camera[OFFSET], of_camera[DRIFT], self.middle_s)
                for name, of_camera in zip(rig.names, step, strict=True)
            }
        return SolvedCameras(rig, CAMERAS in self.unknowns, clocks)

    def judged(self, found: SolvedCameras, gain: float, last_gain: float, sd: np.ndarray) -> SolvedCameras:
        """Return what was found with what to say of it, or the rig as given where it explains no more than chance."""
        n = int(self.is_free.sum())
        data = {"log_likelihood_gain": gain, "last_round": last_gain, "unknowns": n}
        if 2 * gain < n + MIN_SD * np.sqrt(2 * n):
            why = f"moving them explains the detections no better than chance would (gain {gain:.1f}, {n} unknowns)"
            return self._unmoved(self.start, why, Severity.INFO, data)
        worst = np.where(self.is_free, np.abs(self.off(found)) / self.sd, 0.0)
        if worst.max() > IMPLAUSIBLE_SD:
            name = self.rig.names[int(worst.max(1).argmax())]
            what = "clock" if worst.max(0).argmax() >= OFFSET else "camera"
            advice = {
                "clock": f"the clock of {name} would have to shift much further than placed clocks err; place it first "
                "(`mocap sync --rig`)",
                "camera": f"camera {name} would have to move much further than a calibration errs; correct it first "
                "(`mocap calibrate refine`)",
            }
            # a clock that is so far off again was not placed well either
            start = self.start if what == "camera" else SolvedCameras(self.rig, False, {})
            return self._unmoved(start, advice[what], Severity.WARNING, data)
        clocks = {
            name: replace(clock, sigma_s=float(sd[c, OFFSET] if c else 0.0))
            for c, (name, clock) in enumerate(found.clocks.items())
        }
        moves, text = self._moves(found.rig, clocks, sd)
        message = f"{' and '.join(self.unknowns)} were solved together with the skeleton: {text}.".capitalize()
        done = Diagnostic("cameras-solved", Severity.INFO, message, data | {"moved": moves})
        return SolvedCameras(found.rig, found.is_rig_moved, clocks, (done,))

    def _unmoved(self, start: SolvedCameras, why: str, severity: Severity, data: dict[str, float]) -> SolvedCameras:
        """Return what the solve may begin with: all as it was given, but clocks that were far off."""
        what = " and ".join(self.unknowns).capitalize()
        message = f"{what} were left as they were before the skeleton's solve: {why}."
        unmoved = Diagnostic("cameras-not-solved", severity, message, data)
        placed_s = {n: self._shift_s(clock) for n, clock in start.clocks.items() if clock.offset_s}
        if not placed_s:
            return replace(start, diagnostics=(unmoved,))
        each = ", ".join(
            f"{name} {1e3 * s:+.1f} +- {1e3 * start.clocks[name].sigma_s:.1f} ms" for name, s in placed_s.items()
        )
        moved = {
            name: {"clock_s": s, "clock_sd_s": start.clocks[name].sigma_s, "drift_ppm": 0.0}
            for name, s in placed_s.items()
        }
        message = f"Clocks far off were put right by the motion of the points: {each}."
        if severity is Severity.INFO:
            message += " The skeleton found nothing more to correct."
        placed = Diagnostic("cameras-solved", Severity.INFO, message, data | {"moved": moved})
        return replace(start, diagnostics=(placed,) if severity is Severity.INFO else (placed, unmoved))

    def _moves(
        self, rig: CameraRig, clocks: dict[str, TimeMap], sd: np.ndarray
    ) -> tuple[dict[str, dict[str, float]], str]:
        """Return how far each camera and clock moved and how sure that is, as data and as text."""
        moves: dict[str, dict[str, float]] = {}
        texts: list[str] = []
        for c, (after, before) in enumerate(zip(rig.cameras, self.rig.cameras, strict=True)):
            move, text = {}, after.name
            if CAMERAS in self.unknowns:
                cosine = (np.trace(after.R_cam_from_world @ before.R_cam_from_world.T) - 1) / 2
                move["turned_deg"] = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
                move["turned_sd_deg"] = float(np.degrees(np.sqrt((sd[c, TURN] ** 2).mean())))
                move["shifted_mm"] = 1e3 * float(np.linalg.norm(after.center_world_m - before.center_world_m))
                text += f" {move['turned_deg']:.2f} deg {move['shifted_mm']:.0f} mm"
            if clocks:
                clock = clocks[after.name]
                move["clock_s"] = self._shift_s(clock)
                move["clock_sd_s"], move["drift_ppm"] = clock.sigma_s, clock.drift_ppm
                text += f" {1e3 * move['clock_s']:+.1f} ms"
            moves[after.name] = move
            texts.append(text)
        return moves, ", ".join(texts)


def _after(clock: TimeMap, offset_s: float, drift: float, middle_s: float) -> TimeMap:
    """Return a clock after a correction t + offset + drift (t - middle) of the master time that it gives."""
    rate = (1 + drift) * (1 + 1e-6 * clock.drift_ppm)
    moved_s = (1 + drift) * clock.offset_s + offset_s - drift * middle_s
    return replace(clock, offset_s=float(moved_s), drift_ppm=float(1e6 * (rate - 1)))


def _stretches(timeline: Timeline) -> list[tuple[float, float]]:
    """Return from when to when the take is looked at: all of it, or stretches spread over it."""
    length_s = timeline.n_frames / float(timeline.fps)
    if length_s <= MAX_STRETCHES * STRETCH_S:
        half_s = 0.5 / float(timeline.fps)
        return [(timeline.start_s - half_s, timeline.start_s + length_s - half_s)]
    starts = timeline.start_s + np.linspace(0.0, length_s - STRETCH_S, MAX_STRETCHES)
    return [(float(s), float(s) + STRETCH_S) for s in starts]


def _between(detections: Keypoints2D, low_s: float, high_s: float) -> Keypoints2D:
    """Return the detections of some seconds of master time."""
    low, high = (
        np.array([np.searchsorted(row[np.isfinite(row)], at_s) for row in detections.time_s])
        for at_s in (low_s, high_s)
    )
    return detections.cut(low, high)
