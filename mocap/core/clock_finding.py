"""What is said of clocks that are off, alike by whatever finds them."""

from __future__ import annotations

from mocap.core.diagnostics import Diagnostic, Severity


def clock_finding(
    clocks_s: dict[str, float], severity: Severity, is_tied: bool, assumed_hz: float | None = None, more: str = ""
) -> Diagnostic:
    """Return the finding that clocks are off. clocks_s: by how many seconds they are to be put on, by camera.

    `is_tied`: as many other cameras agree with each other, as of two. With `assumed_hz`, of footage without times,
    corrections are said in frames.
    """
    text = ", ".join(
        f"{name} by " + (f"{s * assumed_hz:+.1f} frames" if assumed_hz else f"{1e3 * s:+.0f} ms")
        for name, s in clocks_s.items()
    )
    doubt = " As many cameras say otherwise: it may be the others, the other way." if is_tied else ""
    message = (
        "Clocks seem off: keypoints run ahead of the performer's motion or behind it, which a camera that was moved "
        f"does not explain; to be corrected: {text}.{doubt}{more} Synchronise the take (mocap sync) and give its "
        "clocks (--times), or let the solve find them (--solve-for clocks, in a session --set solve_for=clocks)."
    )
    return Diagnostic("camera-clock-off", severity, message, {"clock_s": clocks_s})
