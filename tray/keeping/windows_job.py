"""Windows' own way to end a whole family: a job object that kills all of its processes when its last handle closes, however we end."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _EXTENDED_LIMITS, _KILL_ON_CLOSE = 9, 0x2000

    class _Basic(ctypes.Structure):
        _fields_ = (
            ("per_process_time", ctypes.c_int64),
            ("per_job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("smallest_set", ctypes.c_size_t),
            ("largest_set", ctypes.c_size_t),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority", wintypes.DWORD),
            ("scheduling", wintypes.DWORD),
        )

    class _Limits(ctypes.Structure):
        _fields_ = (
            ("basic", _Basic),
            ("io", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process_memory", ctypes.c_size_t),
            ("peak_job_memory", ctypes.c_size_t),
        )

    class Job:
        """One family of processes. OSError where the system refuses."""

        def __init__(self) -> None:
            self._system = ctypes.WinDLL("kernel32", use_last_error=True)
            self._system.CreateJobObjectW.restype = wintypes.HANDLE
            handle = self._system.CreateJobObjectW(None, None)
            if not handle:
                raise ctypes.WinError(ctypes.get_last_error())
            self._handle = wintypes.HANDLE(handle)
            limits = _Limits()
            limits.basic.flags = _KILL_ON_CLOSE
            if not self._system.SetInformationJobObject(self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)):
                raise ctypes.WinError(ctypes.get_last_error())

        def take(self, process: int) -> None:
            """The process with this handle, and all that it will start, belong to the job from now on."""
            if not self._system.AssignProcessToJobObject(self._handle, wintypes.HANDLE(process)):
                raise ctypes.WinError(ctypes.get_last_error())

        def kill(self) -> None:
            """End all of them at once."""
            self._system.TerminateJobObject(self._handle, 1)

        def close(self) -> None:
            """Let go: whatever still lives in it is killed."""
            self._system.CloseHandle(self._handle)
