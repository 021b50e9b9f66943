"""The command line: exit statuses, JSON, errors, help, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mocap.cli import main as cli

VERB = '''
"""A verb for tests."""
import argparse, os, sys, time
from mocap.cli.ui import Result, Ui, UsageError
from mocap.core.errors import Cancelled, InputError

SUMMARY = "do something"
EXAMPLE = "mocap try --how well"

def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--how", default="well")

def run(args: argparse.Namespace, ui: Ui) -> Result:
    print("noise of a library")
    os.write(1, b"noise of a native library\\n")
    if args.how == "input":
        raise InputError("bad-thing", "a.txt: expected 3, got 4", "Give 3.")
    if args.how == "usage":
        raise UsageError("bad-option", "--how: no", "Say something else.")
    if args.how == "cancel":
        raise Cancelled()
    if args.how == "bug":
        raise RuntimeError("secret state")
    if args.how == "full":
        raise OSError(28, "No space left on device", "/out/a.npz")
    if args.how == "nap":
        ui.progress.start("napping", 1000)
        print("ready", file=sys.stderr, flush=True)
        for _ in range(1000):
            time.sleep(0.01)
            ui.progress.advance()
    if args.how == "native":
        print("ready", file=sys.stderr, flush=True)
        import ctypes
        ctypes.CDLL(None).sleep(20)
    return Result({"value": float("nan"), "how": args.how}, "it went " + args.how, quality_ok=args.how != "poor")
'''


@pytest.fixture(scope="module")
def verb_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "try_verb.py").write_text(VERB)
    (folder / "broken_verb.py").write_text("SUMMARY = 'never imported by help'\nraise RuntimeError('imported')\n")
    return folder


@pytest.fixture(autouse=True)
def _verbs(verb_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(verb_folder))
    table = {"try": "try_verb", "broken": "broken_verb", "unbuilt": "no_such_verb_module"}
    monkeypatch.setattr(cli, "VERBS", table)


Capture = pytest.CaptureFixture[str]


def test_a_result_is_printed_for_a_person(capfd: Capture) -> None:
    assert cli.main(["try"]) == 0
    out, err = capfd.readouterr()
    assert out == "it went well\n"
    assert "noise of a library" in err
    assert "noise of a native library" in err


@pytest.mark.parametrize("arguments", [["try", "--json"], ["--json", "try"], ["try", "--json", "--how", "well"]])
def test_json_is_the_only_thing_on_standard_output(arguments: list[str], capfd: Capture) -> None:
    assert cli.main(arguments) == 0
    assert json.loads(capfd.readouterr().out) == {"value": None, "how": "well"}


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("input", 1, "bad-thing"),
        ("usage", 2, "bad-option"),
        ("cancel", 130, "cancelled"),
        ("bug", 1, "internal-error"),
        ("full", 1, "disk-full"),
    ],
)
def test_errors_have_a_status_a_code_and_advice(how: str, status: int, code: str, capfd: Capture) -> None:
    assert cli.main(["try", "--how", how]) == status
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "  -> " in err
    assert cli.main(["try", "--how", how, "--json"]) == status
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["advice"]


def test_only_a_verb_that_keeps_its_stages_says_so_when_it_is_stopped(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.main(["try", "--how", "cancel"])
    assert "kept" not in capfd.readouterr().err
    import try_verb  # type: ignore[import-not-found]

    monkeypatch.setattr(try_verb, "KEEPS_STAGES", True, raising=False)
    cli.main(["try", "--how", "cancel"])
    assert "finished is kept" in capfd.readouterr().err


def test_a_failed_quality_gate_has_its_own_status_and_still_a_result(capfd: Capture) -> None:
    assert cli.main(["try", "--how", "poor"]) == 3
    assert capfd.readouterr().out == "it went poor\n"


def test_a_bug_leaves_its_traceback_in_the_named_log(capfd: Capture) -> None:
    cli.main(["try", "--how", "bug", "--json"])
    advice = json.loads(capfd.readouterr().out)["error"]["advice"]
    log = Path(advice.split("log file ")[1].split(" (")[0])
    assert "secret state" in log.read_text()
    log.unlink()


def test_a_bug_shows_its_traceback_when_asked(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCAP_DEBUG", "1")
    cli.main(["try", "--how", "bug"])
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["unbuilt"], ["nonsense"], ["try", "--no-such-option"], ["--json"]])
def test_a_wrong_command_line_exits_with_2(arguments: list[str], capfd: Capture) -> None:
    assert cli.main(arguments) == 2
    out, err = capfd.readouterr()
    assert "usage" in (out + err)


def test_help_lists_verbs_without_importing_them_and_hides_unbuilt_ones(capfd: Capture) -> None:
    assert cli.main(["--help"]) == 0
    out = capfd.readouterr().out
    assert "do something" in out
    assert "never imported by help" in out
    assert "unbuilt" not in out


def test_help_of_a_verb_shows_an_example(capfd: Capture) -> None:
    assert cli.main(["try", "--help"]) == 0
    assert "mocap try --how well" in capfd.readouterr().out


def test_the_real_verbs_all_answer_help_with_an_example(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    built = [verb for verb, name in cli.VERBS.items() if cli._summary(name) is not None]
    assert {"reconstruct", "demo", "doctor"} <= set(built)
    for verb in built:
        assert cli.main([verb, "--help"]) == 0, verb
        out = capfd.readouterr().out
        assert "example:" in out, verb
        assert "mocap " + verb in out.split("example:")[1], verb


def test_importing_the_command_line_loads_no_heavy_package() -> None:
    code = (
        "import sys, mocap.cli.main as m\n"
        "from contextlib import suppress\n"
        "m.main(['--help'])\n"
        "heavy = ('cv2', 'av', 'torch', 'onnxruntime', 'bpy', 'scipy', 'ai_edge_litert')\n"
        "print([n for n in heavy if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def started(verb_folder: Path, how: str, *options: str) -> subprocess.Popen[str]:
    code = "import sys; from mocap.cli import main as m; m.VERBS = {'try': 'try_verb'}; sys.exit(m.main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), "try", "--how", how, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(verb_folder)},
    )
    assert process.stderr is not None
    while "ready" not in process.stderr.readline():
        pass
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: not on Windows")
def test_ctrl_c_stops_with_130_and_a_message(verb_folder: Path) -> None:
    process = started(verb_folder, "nap")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Cancelled" in err
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: not on Windows")
@pytest.mark.parametrize("module", ["mocap.cli.main", "argparse", "mocap.cli.doctor", "mocap.media.cache"])
def test_ctrl_c_while_modules_are_loaded_stops_with_130(module: str) -> None:
    code = f"""
        import signal, sys
        # a parent in the background may have passed on that interrupts are ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
        class Interrupting:
            def find_spec(self, name, *_):
                if name == {module!r}:
                    signal.raise_signal(signal.SIGINT)
        sys.meta_path.insert(0, Interrupting())
        from mocap.cli.entry import main
        sys.argv = ["mocap", "doctor"]
        sys.exit(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("Cancelled") or "\nCancelled" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: not on Windows")
def test_a_second_ctrl_c_ends_native_code_at_once(verb_folder: Path) -> None:
    process = started(verb_folder, "native")
    began = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert time.monotonic() - began < 5


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: not on Windows")
def test_ctrl_c_with_json_reports_in_json(verb_folder: Path) -> None:
    process = started(verb_folder, "nap", "--json")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert json.loads(out)["error"]["code"] == "cancelled"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes: not on Windows")
def test_a_reader_that_went_away_is_no_error(verb_folder: Path) -> None:
    code = "import sys; from mocap.cli import main as m; m.VERBS = {'try': 'try_verb'}; sys.exit(m.main(['try']))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(verb_folder)},
    )
    os.close(writer)
    assert done.returncode == 0
    assert "BrokenPipe" not in done.stderr
