"""Errors that a user can cause.

    MocapError            code, message (what, where, expected, got), advice (one imperative sentence)
    |- InputError         a file or option given by the user is wrong or missing
    |- SetupError         a program, package, model or permission is missing on this machine
    `- Cancelled          the user stopped the work (exit status 130)

Codes are documented in `docs/errors.md`; a test compares that list with the codes raised in the code.
"""

from __future__ import annotations


class MocapError(Exception):
    """A failure that the user can mend: `message` says what, where, expected and got; `advice` what to do next."""

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.code = code
        """Stable identifier in kebab-case, e.g. `video-unreadable`; listed in docs/errors.md."""
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.advice}"

    def __reduce__(self) -> tuple[type[MocapError], tuple[str, str, str]]:
        # The default pickles only `args`; errors must cross process boundaries whole.
        return (type(self), (self.code, self.message, self.advice))


class InputError(MocapError):
    """A file or an option that the user gave is wrong or missing."""


class SetupError(MocapError):
    """Something that the machine should have (program, package, model, permission, space) is missing."""


class Cancelled(MocapError):
    """The user stopped the work; whether something is kept depends on the verb, which says so."""

    def __init__(
        self,
        code: str = "cancelled",
        message: str = "Cancelled.",
        advice: str = "Run the same command again to start anew.",
    ) -> None:
        super().__init__(code, message, advice)
