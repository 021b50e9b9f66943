"""The `mocap` command: finds the verb, runs it, prints its one result, and chooses the exit status."""

from __future__ import annotations

import argparse
import ast
import contextlib
import errno
import importlib
import importlib.util
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Generator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from mocap.cli.ui import Cancellation, Result, Ui, UsageError, make_ui
from mocap.core.errors import Cancelled, MocapError, SetupError

VERBS = {
    "demo": "mocap.cli.demo",
    "reconstruct": "mocap.cli.reconstruct",
    "init": "mocap.cli.init",
    "import": "mocap.cli.import_",
    "run": "mocap.cli.run",
    "status": "mocap.cli.status",
    "explain": "mocap.cli.explain",
    "edit": "mocap.cli.edit",
    "export": "mocap.cli.export",
    "calibrate": "mocap.cli.calibrate",
    "sync": "mocap.cli.sync",
    "probe": "mocap.cli.probe",
    "detect": "mocap.cli.detect",
    "models": "mocap.cli.models",
    "doctor": "mocap.cli.doctor",
}
"""Verbs and their modules, imported only when used. A row whose module is not installed is not offered."""

DONE, USER_ERROR, USAGE, QUALITY, CANCELLED = 0, 1, 2, 3, 130


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that --json can report usage errors too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError("usage", f"{message}\n{self.format_usage().rstrip()}", f"Run `{self.prog} --help`.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. Returns 0 done, 1 user error, 2 usage, 3 a quality gate failed, 130 cancelled."""
    # Our matrices are small and cameras are what is parallel: BLAS threads would only get in each other's way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = _joined(list(sys.argv[1:] if argv is None else argv))
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    json_mode = "--json" in options
    ui = make_ui(json_mode)
    module: ModuleType | None = None
    try:
        with _interruptible(ui):
            args, module = _parse(arguments)
            with _stdout_kept_clean():
                result: Result = module.run(args, ui)
        status, text, stream = _report(result, json_mode)
    except SystemExit as end:
        return int(end.code or 0)
    except (Cancelled, KeyboardInterrupt):
        status, text, stream = _report_error(_cancelled(module), json_mode)
    except MocapError as error:
        status, text, stream = _report_error(error, json_mode)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug becomes a short message and a log
        # An import of native code that is interrupted fails with errors of its own.
        found = _cancelled(module) if ui.cancellation.requested else _from_system_error(error) or _bug(error)
        status, text, stream = _report_error(found, json_mode)
    finally:
        ui.close()
    _print(text, stream)
    return status


def _joined(arguments: list[str]) -> list[str]:
    """Return the arguments with `--option -1,2` as `--option=-1,2`: argparse takes the coordinates for an option."""
    out: list[str] = []
    for argument in arguments:
        if out and re.fullmatch(r"--[a-z-]+", out[-1]) and re.match(r"-[\d.]+,", argument):
            out[-1] += f"={argument}"
        else:
            out.append(argument)
    return out


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, ModuleType]:
    """Return the parsed command line and the module of its verb; only that module is imported."""
    parser = _Parser(prog="mocap", description="Videos of a performer in, verified character animation out.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--json", action="store_true", help="print a machine-readable result (any verb)")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    chosen: ModuleType | None = None
    for verb, name in VERBS.items():
        if (summary := _summary(name)) is None:
            continue
        if verb != wanted:
            verbs.add_parser(verb, help=summary)
            continue
        chosen = importlib.import_module(name)
        _add_verb(verbs.add_parser(verb, help=summary, **_texts(chosen)), chosen)
    args = parser.parse_args([a for a in arguments if a != "--json"])
    if args.version:
        from importlib.metadata import version

        _print(f"mocap-studio {version('mocap-studio')}", sys.stdout)
        raise SystemExit(DONE)
    if chosen is None:
        parser.error("a verb is needed")
    args.json = "--json" in arguments
    return args, chosen


def _texts(module: ModuleType) -> dict[str, Any]:
    return {
        "description": module.SUMMARY,
        "epilog": "example:\n  " + "\n  ".join(module.EXAMPLE.strip().splitlines()),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _add_verb(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    module.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print a machine-readable result and nothing else")


def _summary(module_name: str) -> str | None:
    """Return a verb's SUMMARY without importing it, or None where the module is not there."""
    spec = importlib.util.find_spec(module_name)
    if spec is None or spec.origin is None:
        return None
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="SUMMARY")], value=ast.expr() as value):
                return str(ast.literal_eval(value))
            case ast.AnnAssign(target=ast.Name(id="SUMMARY"), value=ast.expr() as value):
                return str(ast.literal_eval(value))
            case _:
                pass
    return None


@contextlib.contextmanager
def _stdout_kept_clean() -> Generator[None]:
    """Send whatever libraries write to standard output to standard error: the result stays readable by programs."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@contextlib.contextmanager
def _interruptible(ui: Ui) -> Generator[None]:
    """First Ctrl-C: stop at the next safe place. Second: end at once, even inside native code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_interrupt(_signal: int, _frame: object) -> None:
        # A second exception while the first unwinds would break the clean-up.
        if not ui.cancellation.requested:
            ui.cancellation.request()
            raise KeyboardInterrupt

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.signal(signal.SIGINT, on_interrupt)
    woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch_interrupts, args=(reader, ui.cancellation, ui), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGINT, before)
        writer.close()
        watcher.join(timeout=1.0)
        reader.close()


def _watch_interrupts(reader: socket.socket, cancellation: Cancellation, ui: Ui) -> None:
    """Count interrupts in a thread: Python's own handler does not run while the main thread is in native code."""
    seen = 0
    while data := reader.recv(16):
        seen += data.count(signal.SIGINT)
        if seen == 1:
            ui.note("Stopping; press Ctrl-C again to end at once.")
        elif seen > 1:
            os._exit(CANCELLED)


def _cancelled(module: ModuleType | None) -> Cancelled:
    """Return what to tell of a stop: the verbs with KEEPS_STAGES go on from where they came to."""
    if not getattr(module, "KEEPS_STAGES", False):
        return Cancelled()
    return Cancelled(
        message="Cancelled; what was finished is kept.",
        advice="Run the same command again to go on from there.",
    )


def _report(result: Result, json_mode: bool) -> tuple[int, str, Any]:
    status = USER_ERROR if not result.done else DONE if result.quality_ok else QUALITY
    if not json_mode:
        return status, result.text, sys.stdout
    from mocap.core.jsontext import dumps

    return status, dumps(result.data), sys.stdout


def _report_error(error: MocapError, json_mode: bool) -> tuple[int, str, Any]:
    status = CANCELLED if isinstance(error, Cancelled) else USAGE if isinstance(error, UsageError) else USER_ERROR
    if json_mode:
        body = {"error": {"code": error.code, "message": error.message, "advice": error.advice}}
        return status, json.dumps(body, indent=2, ensure_ascii=False), sys.stdout
    word = "" if isinstance(error, Cancelled) else f"error [{error.code}]: "
    return status, f"{word}{error}", sys.stderr


_SYSTEM_ERRORS = {
    errno.ENOSPC: ("disk-full", "Free some space there or choose another output folder."),
    errno.EDQUOT: ("disk-full", "Free some space there or choose another output folder."),
    errno.EROFS: ("folder-not-writable", "Choose a folder that you may write to."),
    errno.EACCES: ("folder-not-writable", "Choose a folder that you may write to, or change its permissions."),
    errno.EPERM: ("folder-not-writable", "Choose a folder that you may write to, or change its permissions."),
    errno.ENOENT: ("path-missing", "Check the spelling of the path."),
    errno.ENOTDIR: ("path-unusable", "Name a folder, not a file."),
    errno.EISDIR: ("path-unusable", "Name a file, not a folder."),
    errno.EEXIST: ("path-unusable", "Choose another name or move what is there."),
    errno.EMFILE: ("too-many-open-files", "Raise the limit of open files (`ulimit -n 4096`)."),
}


def _from_system_error(error: Exception) -> MocapError | None:
    """Return what the user can do about a failure of the operating system, or None when it is a bug of ours."""
    if isinstance(error, MemoryError):
        return SetupError("out-of-memory", f"Not enough memory: {error}", "Close other programs or use shorter takes.")
    if not isinstance(error, OSError) or error.errno not in _SYSTEM_ERRORS:
        return None
    code, advice = _SYSTEM_ERRORS[error.errno]
    where = f" ({error.filename})" if error.filename else ""
    return SetupError(code, f"{error.strerror}{where}", advice)


def _bug(error: BaseException) -> MocapError:
    """Keep the traceback in a file and return a short message that names it."""
    text = "".join(traceback.format_exception(error))
    if os.environ.get("MOCAP_DEBUG") == "1":
        _print(text, sys.stderr)
    with (
        tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="mocap-", suffix=".log", delete=False) as log,
        contextlib.suppress(OSError),
    ):
        log.write(f"command: {sys.argv}\npython: {sys.version}\n\n{text}")
    last = str(error).strip().splitlines()
    return MocapError(
        "internal-error",
        f"This is a fault of the program, not yours: {type(error).__name__}: {last[0] if last else ''}",
        f"Report it with the log file {log.name} (MOCAP_DEBUG=1 shows it here).",
    )


def _print(text: str, stream: Any) -> None:
    """Print, and be content when the reader of a pipe has gone."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # Python flushes standard output once more at exit; give it a place to go.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
