"""Where the installed command begins: Ctrl-C ends it cleanly even while its modules are still being loaded."""

from __future__ import annotations

import os
import signal
import sys

CANCELLED = 130


def main() -> int:
    """Run the command line; see `mocap.cli.main.main`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from mocap.cli.main import main as run

    return run()


def _end(_signal: int, _frame: object) -> None:
    """End at once: nothing has begun, or everything is written. An exception here could land in any import."""
    if "--json" in sys.argv:
        text = '{"error": {"code": "cancelled", "message": "Cancelled.", "advice": "Run the same command again."}}\n'
        os.write(1, text.encode())
    else:
        os.write(2, b"Cancelled.\n  -> Run the same command again.\n")
    os._exit(CANCELLED)


if __name__ == "__main__":
    sys.exit(main())
