"""Feed damaged GPMF and MP4 data to the readers: nothing may crash, hang or hold on to memory.

    python scripts/fuzz_media.py --cases 10000

Cases are numbered and made from the number alone, so that a failure can be repeated with `--first N --cases 1`. They
run in child processes; one that dies or takes longer than `--timeout` is reported and the rest go on. Exit status 1
when anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mocap.core.errors import MocapError

ROOT = Path(__file__).resolve().parents[1]
GOPRO = ROOT.parent / "shared" / "data" / "gopro"
BATCH = 500
GROWTH_LIMIT_MB = 8
"""Memory that a child may gain from its first tenth to its end: caches settle within this."""
MAX_FOUND = 10
"""Findings after which there is no point in going on."""
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def mutate(data: bytearray, rng: np.random.Generator, begin: int, end: int) -> list[tuple[int, bytes]]:
    """Damage data[begin:end] in place in a few places; return what was there, newest first, for undoing."""
    undo: list[tuple[int, bytes]] = []
    for _ in range(int(rng.integers(1, 9))):
        kind = rng.integers(5)
        n = (1, 4, 2, int(rng.integers(1, 64)), 8)[kind]
        at = int(rng.integers(begin, max(end - n, begin + 1)))
        new = (
            bytes([data[at] ^ (1 << int(rng.integers(8)))]),
            int(rng.choice([0, 1, 7, 8, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])).to_bytes(4, "big"),
            bytes([int(rng.choice(INTERESTING))] * 2),
            rng.bytes(n),
            bytes(data[(other := int(rng.integers(begin, max(end - 8, begin + 1)))) : other + 8]),
        )[kind]
        undo.insert(0, (at, bytes(data[at : at + len(new)])))
        data[at : at + len(undo[0][1])] = new[: len(undo[0][1])]
    return undo


def gpmf_case(seeds: list[bytes], number: int) -> None:
    """Parse one damaged piece of GPMF, and look at everything in it."""
    from mocap.media.gpmf import parse, streams

    rng = np.random.default_rng(number)
    data = bytearray(seeds[number % len(seeds)])
    mutate(data, rng, 0, len(data))
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data))) :]
    if rng.random() < 0.05:
        data = bytearray(rng.bytes(int(rng.integers(1, 4000))))
    payload = parse(bytes(data))
    todo = list(payload.entries)
    while todo:
        entry = todo.pop()
        todo += entry.children
        entry.numbers("fS[3]")
        entry.texts()
    for stream in streams(payload):
        if not np.issubdtype(stream.values.dtype, np.float64):
            raise TypeError("values are not float64")


class Mp4Cases:
    """Damaged copies of real files, changed in place: only a few bytes are written for each case."""

    def __init__(self, seeds: list[Path], folder: Path) -> None:
        from mocap.media.mp4_boxes import find_box

        self.files = [Path(shutil.copy(s, folder / f"{i}.mp4")) for i, s in enumerate(seeds)]
        self.data = [bytearray(f.read_bytes()) for f in self.files]
        self.index = [find_box(f, b"moov") or (0, f.stat().st_size) for f in self.files]
        for file in self.files:
            file.chmod(0o600)

    def run(self, number: int) -> None:
        """Probe one damaged file and read its telemetry; errors made for users are what should come."""
        from mocap.media.probe import probe
        from mocap.media.telemetry import read_telemetry

        rng = np.random.default_rng(number)
        which = number % len(self.files)
        file, data, (begin, size) = self.files[which], self.data[which], self.index[which]
        undo = mutate(data, rng, begin, begin + size)
        if rng.random() < 0.2:
            undo = mutate(data, rng, 0, len(data)) + undo
        end = int(rng.integers(len(data))) if rng.random() < 0.1 else len(data)
        try:
            self._write(file, data, undo, end)
            try:
                probe(file)
                read_telemetry(file)
            except MocapError:
                pass
        finally:
            for at, old in undo:
                data[at : at + len(old)] = old
            self._write(file, data, undo, len(data), restore=end < len(data))

    @staticmethod
    def _write(
        file: Path, data: bytearray, places: list[tuple[int, bytes]], end: int, *, restore: bool = False
    ) -> None:
        if restore:
            file.write_bytes(data)
            return
        with file.open("r+b") as out:
            for at, old in places:
                out.seek(at)
                out.write(data[at : at + len(old)])
            out.truncate(end)


def child(first: int, n: int, kind: str) -> None:
    """Run cases, saying the number of each before it begins; say the memory at the end."""
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        run: Callable[[int], None]
        if kind == "gpmf":
            seeds = [p.read_bytes() for p in sorted(GOPRO.rglob("*.raw"))]
            run = lambda number: gpmf_case(seeds, number)  # noqa: E731
        else:
            run = Mp4Cases(sorted(GOPRO.glob("gpmf-parser/*.mp4")), Path(folder)).run
        settled = 0.0
        for number in range(first, first + n):
            sys.stdout.write(f"case {number}\n")
            sys.stdout.flush()
            run(number)
            if number == first + n // 10:
                settled = rss_mb()
        sys.stdout.write(f"memory {settled:.1f} {rss_mb():.1f} {peak_mb():.1f}\n")


def rss_mb() -> float:
    """Return the memory that this process holds now, without what the allocator keeps for later."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
            ctypes.CDLL(None).malloc_trim(0)
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_mb()
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Return the most memory that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def batch(first: int, n: int, kind: str, timeout_s: float) -> tuple[list[str], int, tuple[float, float, float]]:
    """Return what was found in some cases, how many were done, and the child's memory (settled, end, peak; MB)."""
    command = [sys.executable, __file__, "--child", kind, "--first", str(first), "--cases", str(n)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        seen, since = -1, time.monotonic()
        hung = False
        while process.poll() is None:
            time.sleep(0.05)
            size = out.seek(0, 2)
            if size != seen:
                seen, since = size, time.monotonic()
            elif time.monotonic() - since > timeout_s:
                hung = True
                process.kill()
                process.wait()
        out.seek(0)
        lines = out.read().decode().split("\n")
        err.seek(0)
        said = err.read().decode(errors="replace")
    last = next((int(x.split()[1]) for x in reversed(lines) if x.startswith("case ")), first)
    memory = next((x.split()[1:] for x in lines if x.startswith("memory ")), None)
    if memory is not None:
        settled, end, peak = (float(m) for m in memory)
        return [], n, (settled, end, peak)
    why = "hung" if hung else f"status {process.returncode}: {said.strip().splitlines()[-1:]}"
    return [f"{kind} case {last}: {why}"], last - first + 1, (0.0, 0.0, 0.0)


def main() -> int:
    """Run all cases, half of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=("gpmf", "mp4"), help="only one kind")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds for one case")
    parser.add_argument("--child", choices=("gpmf", "mp4"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.first, args.cases, args.child)
        return 0
    if not GOPRO.is_dir():
        sys.stdout.write("../shared/data/gopro is not beside the project: there is nothing to damage.\n")
        return 1
    found: list[str] = []
    kinds = (args.kind,) if args.kind else ("gpmf", "mp4")
    for kind in kinds:
        done, todo, began = 0, args.cases // len(kinds), time.monotonic()
        growth, peak = 0.0, 0.0
        while done < todo and len(found) < MAX_FOUND:
            bad, n, (settled, end, high) = batch(args.first + done, min(BATCH, todo - done), kind, args.timeout)
            found += bad
            done += n
            growth, peak = max(growth, end - settled), max(peak, high)
        if growth > GROWTH_LIMIT_MB:
            found.append(f"{kind}: memory grew by {growth:.0f} MB within {BATCH} cases")
        sys.stdout.write(
            f"{kind}: {done} cases in {time.monotonic() - began:.0f} s; most growth in {BATCH} cases {growth:.1f} MB, "
            f"peak {peak:.0f} MB\n"
        )
    sys.stdout.write("\n".join(found) + "\n" if found else "nothing found\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
