"""`ondol-tray`: the icon over a server that it keeps; without a display, the server alone."""

from __future__ import annotations

import sys
import threading

from app.core import egress
from app.core.errors import OndolError
from app.core.paths import Home
from tray.supervisor import Supervisor


def main() -> None:
    """The entry point of `ondol-tray`. Ends with status 0 on Quit or Ctrl-C, 70 where the server can't be started."""
    # The icon needs this machine alone, whatever the server may reach.
    egress.install(egress.Policy())
    supervisor = Supervisor(Home.find())
    try:
        supervisor.start()
        status = supervisor.wait()
        if status.state == "failed":
            sys.stderr.write(f"ondol-tray: {status.detail}\n")
            sys.exit(70)
        _show(supervisor)
    except KeyboardInterrupt:
        pass
    except OndolError as error:
        sys.stderr.write(f"ondol-tray: {error}\n")
        sys.exit(error.exit_status)
    finally:
        supervisor.stop()


def _show(supervisor: Supervisor) -> None:
    try:
        from tray import icon

        icon.run(supervisor, supervisor.stop)
    except Exception as error:  # noqa: BLE001 - pystray raises what its backend raises: no display, no bus, no library
        sys.stderr.write(f"No tray icon here ({error}). The server goes on at {supervisor.status().detail}; Ctrl-C ends it.\n")
        threading.Event().wait()


if __name__ == "__main__":
    main()
