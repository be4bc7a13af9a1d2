"""How soon the tray's icon is in the panel, and how much memory the tray keeps, beside a server over an empty data folder.

    python tests/bench/tray.py [--runs 5]

Prints JSON: seconds from the program's start until the panel has its icon (median, and each run; `cold` where the system let its
file cache be dropped before each run, else only the process is new), and the tray's own memory (USS, MB) once the server is ready and
after an hour's worth of changes: labels, notifications, clicks. Linux with the packages of tests/acceptance/tray_host.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "acceptance")]

import tray_host  # noqa: E402 - the paths come first
from tray_host import Desktop, Panel  # noqa: E402

LINE = [sys.executable, "-P", "-m", "tray.main"]
CLICKS = 60


def forget_files() -> bool:
    """Drop the system's cache of files; False where that is not allowed."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def megabytes(process: psutil.Popen) -> float:
    return round(process.memory_full_info().uss / 1e6, 1)


def run(desktop: Desktop, home: Path, *, long: bool) -> dict[str, float | bool]:
    cold = forget_files()
    environment = {**desktop.environment, "ONDOL_HOME": str(home), "ONDOL_PORT": "0"}
    with Panel(desktop.bus) as panel:
        began = time.perf_counter()
        tray = psutil.Popen(LINE, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            while not panel.registrations:
                time.sleep(0.002)
            found: dict[str, float | bool] = {"registered_s": round(time.perf_counter() - began, 3), "cold": cold}
            icon = panel.icon()
            panel.until(lambda: icon.menu().entries[0].label == "Ondol is ready", 120)
            found["ready_s"] = round(time.perf_counter() - began, 3)
            if long:
                time.sleep(10)
                found["uss_mb"] = megabytes(tray)
                for _ in range(CLICKS):
                    icon.click("Settings", "Notifications")
                    icon.click("Help", "About Ondol")
                    time.sleep(1.1)
                found["uss_later_mb"], found["threads"] = megabytes(tray), tray.num_threads()
            return found
        finally:
            tray.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                tray.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    if reason := tray_host.missing():
        sys.exit(reason)
    with tray_host.desktop() as desktop, tempfile.TemporaryDirectory() as folder:
        runs = [run(desktop, Path(folder) / f"home {place}", long=place == args.runs - 1) for place in range(args.runs)]
    each = [float(one["registered_s"]) for one in runs]
    last = {name: value for name, value in runs[-1].items() if name not in ("registered_s", "ready_s", "cold")}
    ready = statistics.median(float(one["ready_s"]) for one in runs)
    print(json.dumps({"registered_s": statistics.median(each), "each_s": each, "ready_s": ready, "cold": runs[0]["cold"], **last}))


if __name__ == "__main__":
    main()
