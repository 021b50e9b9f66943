"""The last digits of clocks: offsets and drifts from the detections of a whole take, in place of smoothed tracks.

Every detection counts at its own time. Nodes lie one frame apart; the motion around a node is known from the points
found so far, smoothed in space; the point of each node is free and eliminated; noise lasts (`mocap.sync.lasting`), so
that slow motion, which slow noise resembles, counts for less than fast. Points and clocks are found in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.core.camera import CameraRig
from mocap.kernels.robust import fit_sigma_of_score, geman_mcclure, rayleigh_scale
from mocap.kernels.triangulation import triangulate_dlt
from mocap.sync.lasting import Chain, Lasting, measure
from mocap.sync.signals import Track
from mocap.sync.spread import scatter
from mocap.sync.trajectory import smooth_motion

N_PARAMETERS = 4  # at_s, rate, image shift x and y
ANNEALING = (100.0, 36.0, 16.0, 16.0, 16.0, 16.0)
NODE_S = 1 / 60
WINDOW_S = 4.0
"""The lasting noise starts anew after this, so that windows are independent."""
MAX_NODES = 6000
"""Of longer takes, windows spread evenly are used."""
WEAK_RATE = 1e-3
SHIFT_PRIOR_PX = 10.0
MIN_DEPTH_M = 0.05
INLIER = 0.35
MIN_SPARE = 0.25
"""Part of a detection's noise that its residual must show to measure the noise by it."""
USUAL_M = 0.01
"""Error of points before anything is known of it."""
MAX_SHARE = 0.25
"""Of lasting noise that is believed. Errors of real detectors that last are in part locked to the motion, and then fast
motion is no surer than slow. On synthetic takes this share gives clocks as good as the true one, 0.5, to 10 %."""
USUAL = Lasting(0.25, 0.85)


class WholeTake:
    """State of the iteration over clocks, image shifts and points."""

    def __init__(
        self,
        tracks: Sequence[Track],
        rig: CameraRig,
        middle_s: np.ndarray,
        at_s: np.ndarray,
        rate: np.ndarray,
        shift_px: np.ndarray,
    ) -> None:
        self.tracks, self.middle_s = tracks, middle_s
        self.at_s, self.rate, self.shift_px = at_s.copy(), rate.copy(), shift_px.copy()
        self.R = np.stack([c.R_cam_from_world for c in rig.cameras])
        self.t = np.stack([c.t_cam_from_world_m for c in rig.cameras])
        self.scale_px = np.array([c.intrinsics.focal_px.mean() for c in rig.cameras])
        self.node_s = self._nodes()
        self.lasting = USUAL
        self.noise_px = float("nan")
        self.noise_of_score = (np.array([0.5]), np.array([1.0]))
        start = [x.sample(self._own(c))[0] for c, x in enumerate(tracks)]
        aimed = np.stack(start) - (self.shift_px / self.scale_px[:, None])[:, None, None]
        points = triangulate_dlt(aimed, np.ones(aimed.shape[:-1]), self.R, self.t)
        self._smooth(points, np.full(points.shape[:2], USUAL_M**2))
        self.clusters = np.zeros((0, 0))
        self.weight = np.ones(aimed.shape[:-1])

    def _nodes(self) -> np.ndarray:
        """Return master times [window node] of the nodes, where two cameras record."""
        start = [a + (t.time_s[0] - m) for t, a, m in zip(self.tracks, self.at_s, self.middle_s, strict=True)]
        end = [a + (t.time_s[-1] - m) for t, a, m in zip(self.tracks, self.at_s, self.middle_s, strict=True)]
        low, high = sorted(start)[1], sorted(end)[-2]
        self.step_s = max([NODE_S, *(float(np.median(np.diff(t.time_s))) for t in self.tracks)])
        n_nodes = max(int((high - low) / self.step_s), 1)
        n_windows = max(1, round(n_nodes * self.step_s / WINDOW_S))
        length = n_nodes // n_windows
        node_s = low + (np.arange(n_windows * length) + 0.5) * self.step_s
        node_s = node_s.reshape(n_windows, length)
        if node_s.size > MAX_NODES:
            node_s = node_s[np.unique(np.linspace(0, n_windows - 1, MAX_NODES // length).astype(int))]
        return node_s

    def _own(self, c: int) -> np.ndarray:
        return (self.node_s.ravel() - self.at_s[c]) / (1 + self.rate[c]) + self.middle_s[c]

    def _smooth(self, points: np.ndarray, variance: np.ndarray) -> None:
        """Take points [node keypoint 3] of variance [node keypoint] as the motion."""
        self.motion = smooth_motion(points, variance, self.node_s.ravel(), self.step_s)

    def solve(self) -> None:
        """Iterate with an annealed robust loss."""
        for loss_scale in ANNEALING:
            normal, gradient = self._system(loss_scale)
            free = np.arange(len(normal)) >= 2
            step = np.zeros(len(normal))
            step[free] = -np.linalg.solve(normal[np.ix_(free, free)], gradient[free])
            step = step.reshape(-1, N_PARAMETERS)
            self.at_s += np.clip(step[:, 0], -0.05, 0.05)
            self.rate += np.clip(step[:, 1], -1e-3, 1e-3)
            self.shift_px += step[:, 2:]

    def covariance(self) -> np.ndarray:
        """Return the covariance [2 camera, 2 camera] of (at_s, rate) relative to the first camera.

        That of the noise as modelled, times what the scatter of gradients between windows of time and between
        keypoints shows beyond it (a sandwich as in `with_rig`; one factor for all, since windows are few).
        """
        normal, _ = self._system(ANNEALING[-1])
        free = np.arange(len(normal)) >= 2
        inverse = np.linalg.inv(normal[np.ix_(free, free)])
        keep = np.arange(len(normal)) % N_PARAMETERS < 2
        clocks = keep[free]
        seen = inverse @ scatter(self.clusters[..., free], WINDOW_S * len(self.clusters)) @ inverse
        excess = float(np.mean(np.diag(seen)[clocks] / np.diag(inverse)[clocks]))
        full = np.zeros_like(normal)
        full[np.ix_(free, free)] = inverse * max(excess, 1.0)
        return full[np.ix_(keep, keep)]

    def _system(self, loss_scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal matrix and the gradient of clocks and image shifts; find the points anew."""
        r, J, P, information = self._residuals()
        self.weight = self._judged(r, J, information, loss_scale)[0]
        self.weight, move, spare, variance = self._judged(r, J, information, loss_scale)
        free = r + np.einsum("cnkix,nkx->cnki", J, move)
        inlier = (self.weight > INLIER) & (spare > MIN_SPARE)
        total = self._eliminated(r, J, P, information)
        self._learn(free, inlier, spare, information)
        seen = ((self.weight > INLIER).sum(0) >= 2)[..., None]
        self._smooth(np.where(seen, self.motion.place + move, np.nan), variance)
        return self._with_prior(total)

    def _residuals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return residuals in pixels [camera node keypoint 2], derivatives, and information [camera node keypoint].

        Derivatives by the point [... 2 3] and by the camera's own parameters [... 2 4]. Information is the sum of
        1 / sd^2 of the detections of a node, 0 where there is none.
        """
        place, velocity, acceleration = self.motion.place, self.motion.velocity, self.motion.acceleration
        n_nodes, n_keypoints = place.shape[:2]
        n_c = len(self.tracks)
        r = np.zeros((n_c, n_nodes, n_keypoints, 2))
        P = np.zeros((n_c, n_nodes, n_keypoints, 2, N_PARAMETERS))
        J = np.zeros((n_c, n_nodes, n_keypoints, 2, 3))
        information = np.zeros((n_c, n_nodes, n_keypoints))
        self.count = np.zeros(information.shape, int)
        for c, track in enumerate(self.tracks):
            own = track.time_s - self.middle_s[c]
            n, inside, late = self._nearest(self.at_s[c] + (1 + self.rate[c]) * own)
            X = place[n] + late * (velocity[n] + 0.5 * late * acceleration[n])
            speed = velocity[n] + late * acceleration[n]
            flat, Jx = self._projected(c, X)
            error = (flat - track.detected[inside]) * self.scale_px[c] + self.shift_px[c]
            sigma = np.interp(track.detected_score[inside], *self.noise_of_score)
            w = np.where(np.isfinite(error).all(-1) & np.isfinite(speed).all(-1), sigma**-2, 0.0)
            seen = w > 0
            moving = np.einsum("nkix,nkx->nki", Jx, np.nan_to_num(speed))
            parts = np.zeros((*w.shape, 2, N_PARAMETERS))
            parts[..., 0], parts[..., 1] = moving, moving * own[inside, None, None]
            parts[..., 0, 2] = parts[..., 1, 3] = 1.0
            for total, part in ((r[c], error), (J[c], Jx), (P[c], parts)):
                shaped = w.reshape(*w.shape, *[1] * (part.ndim - 2))
                np.add.at(total, n, np.where(seen.reshape(shaped.shape), part * shaped, 0.0))
            np.add.at(information[c], n, w)
            np.add.at(self.count[c], n, seen)
        mass = np.maximum(information, 1e-30)
        return r / mass[..., None], J / mass[..., None, None], P / mass[..., None, None], information

    def _nearest(self, master_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of instants [n]: the nodes [m] of those near one, which they are [n], how much later [m 1 1]."""
        node_s = self.node_s.ravel()
        n = np.clip(np.searchsorted(node_s, master_s - 0.5 * self.step_s), 0, node_s.size - 1)
        late = master_s - node_s[n]
        inside = np.abs(late) <= 0.5 * self.step_s
        return n[inside], inside, late[inside][:, None, None]

    def _projected(self, c: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where a camera sees points [... 3], in normalised coordinates, and derivatives [... 2 3] in pixels."""
        cam = X @ self.R[c].T + self.t[c]
        z = np.where(cam[..., 2] > MIN_DEPTH_M, cam[..., 2], np.nan)
        flat = cam[..., :2] / z[..., None]
        return flat, (self.scale_px[c] / z)[..., None, None] * (self.R[c][:2] - flat[..., None] * self.R[c][2])

    def _judged(
        self, r: np.ndarray, J: np.ndarray, information: np.ndarray, loss_scale: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return robust weights [camera node keypoint], how points move [node keypoint 3], views' freedom, variances.

        Freedom [camera node keypoint]: the part of a detection's noise that its residual shows, 0..1.
        """
        w = information * self.weight
        Jw = J * np.sqrt(w)[..., None, None]
        normal = np.einsum("cnkix,cnkiy->nkxy", Jw, Jw)
        scale = np.trace(normal, axis1=-2, axis2=-1) / 3
        solvable = (np.linalg.det(normal) > 1e-9 * scale**3) & (scale > 0)
        normal[~solvable] = np.eye(3)
        inverse = np.linalg.inv(normal) * solvable[..., None, None]
        move = -np.einsum("nkxy,cnkiy,cnki->nkx", inverse, Jw, r * np.sqrt(w)[..., None])
        spare = 1 - 0.5 * np.einsum("cnkix,nkxy,cnkiy->cnk", Jw, inverse, Jw)
        squared = ((r + np.einsum("cnkix,nkx->cnki", J, move)) ** 2).sum(-1) * information
        weight = np.where((information > 0) & solvable, geman_mcclure(squared, loss_scale), 0.0)
        variance = np.trace(inverse, axis1=-2, axis2=-1) / 3
        return weight, move, np.where(solvable & (w > 0), spare, 0.0), variance

    def _learn(self, free: np.ndarray, inlier: np.ndarray, spare: np.ndarray, information: np.ndarray) -> None:
        """Measure the noise: its sd by score, how much of it lasts. free [camera node keypoint 2] residuals in px."""
        if not inlier.any():
            return
        shown = free / np.sqrt(np.maximum(spare, MIN_SPARE))[..., None]
        score = self._node_scores()
        length = np.where(inlier, np.linalg.norm(shown, axis=-1), np.nan)
        self.noise_px = max(rayleigh_scale(length[inlier]), 0.1)
        at, sigma = fit_sigma_of_score(length, np.where(inlier, score, 0.0))
        self.noise_of_score = (at, np.clip(np.nan_to_num(sigma, nan=self.noise_px), 0.3 * self.noise_px, None))
        n_windows, n_per = self.node_s.shape
        shape = (len(free) * n_windows, n_per)
        white = (shown * np.sqrt(information)[..., None]).reshape(*shape, *free.shape[2:])
        found = measure(white, inlier.reshape(*shape, -1), USUAL)
        self.lasting = Lasting(min(found.share, MAX_SHARE), found.keep)

    def _node_scores(self) -> np.ndarray:
        """Return the detections' scores [camera node keypoint] of the frame nearest to each node."""
        out = []
        for c, track in enumerate(self.tracks):
            own = self._own(c)
            i = np.clip(np.searchsorted(track.time_s, own), 1, max(len(track.time_s) - 1, 1))
            i = i - (own - track.time_s[i - 1] < track.time_s[i] - own)
            out.append(track.detected_score[i])
        return np.stack(out)

    def _eliminated(self, r: np.ndarray, J: np.ndarray, P: np.ndarray, information: np.ndarray) -> np.ndarray:
        """Return products [window keypoint column column] of parameters and residual, points and lasting noise gone."""
        n_windows, n_per = self.node_s.shape
        n_c, _, n_keypoints = information.shape
        size = n_c * N_PARAMETERS
        chain = Chain(self.lasting, n_windows * n_keypoints, 2 * n_c, size + 1)
        count = np.maximum(self.count, 1)
        sharp = np.sqrt(information / count)[..., None]
        mass = np.repeat((self.weight * self.count)[..., None], 2, axis=-1)

        def rows(values: np.ndarray, i: int) -> np.ndarray:
            """Return values [camera node keypoint 2 n] of the i-th node of each window as [batch camera 2 n]."""
            flat = np.moveaxis(values[:, i::n_per], 0, 2)
            return flat.reshape(n_windows * n_keypoints, n_c, 2, -1)

        r, J, P = r * sharp, J * sharp[..., None], P * sharp[..., None]
        for i in range(n_per):
            columns = np.zeros((n_windows * n_keypoints, n_c, 2, size + 1))
            own = rows(P, i)
            for c in range(n_c):
                columns[:, c, :, c * N_PARAMETERS : (c + 1) * N_PARAMETERS] = own[:, c]
            columns[..., -1:] = rows(r, i)
            flat = (n_windows * n_keypoints, 2 * n_c)
            chain.add(
                rows(J, i).reshape(*flat, 3),
                columns.reshape(*flat, size + 1),
                rows(mass, i).reshape(flat),
                i == n_per - 1,
            )
        return chain.total.reshape(n_windows, n_keypoints, size + 1, size + 1)

    def _with_prior(self, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        prior = np.tile([0.0, WEAK_RATE**-2, SHIFT_PRIOR_PX**-2, SHIFT_PRIOR_PX**-2], len(self.tracks))
        state = np.stack([np.zeros(len(self.rate)), self.rate, *self.shift_px.T], -1).ravel()
        self.clusters = total[..., :-1, -1]
        summed = total.sum((0, 1))
        return summed[:-1, :-1] + np.diag(prior), summed[:-1, -1] + prior * state
