"""The processes of the device ``local:N``: ``python -m unet_engine.worker N``.

The token comes by standard input, whose end ends the processes; the port goes to
standard output as JSON.
"""

from __future__ import annotations

import json
import sys

from unet_engine.worker.serving import serving


def main() -> None:
    """Serve until standard input ends."""
    token = sys.stdin.readline().strip()
    count = int(sys.argv[1])
    with serving(token, host="127.0.0.1", port=0, processes=count, device="cpu") as (
        port,
        _,
    ):
        sys.stdout.write(f"{json.dumps({'port': port})}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
