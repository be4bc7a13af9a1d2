"""Which changes are worth a notification: few, and each of use to a person. Pure but for what it remembers to have told."""

from __future__ import annotations

from tray.records import Notice, Server, Snapshot, State

_UP = (State.READY, State.EXTERNAL)


class Notices:
    """Looks at each snapshot and the one before it. `first_run`: nobody has used the tray over this home before."""

    def __init__(self, *, first_run: bool = False) -> None:
        self._first_run = first_run
        self._was_up = False
        self._crashed = False
        self._recovered = False
        self._sync_error = ""

    def of(self, before: Snapshot, after: Snapshot) -> list[Notice]:
        """What to tell, in the order in which it should be read."""
        return [*self._server(before.server, after.server), *_downloads(before, after), *self._sync(before, after), *_chat(before, after)]

    def _server(self, before: Server, after: Server) -> list[Notice]:
        if after.state == before.state:
            return []
        if after.state == State.BACKOFF:
            self._crashed = self._was_up
        elif after.state in (State.STOPPING, State.STOPPED):  # asked for: whatever was before is forgotten
            self._crashed = self._was_up = False
        elif after.state == State.FAILED:
            self._crashed = self._was_up = False
            problem = after.problem
            return [Notice("failed", {"code": problem.code, **problem.values} if problem else {})]
        elif after.state in _UP:
            return self._up(after)
        return []

    def _up(self, server: Server) -> list[Notice]:
        crashed, self._crashed, self._was_up = self._crashed, False, True
        if self._first_run:
            self._first_run = False
            return [Notice("ready_first", {"address": server.address})]
        if crashed and not self._recovered:
            self._recovered = True  # once: a server that crashes each hour would be a nuisance twice
            return [Notice("recovered")]
        return []

    def _sync(self, before: Snapshot, after: Snapshot) -> list[Notice]:
        was, now = before.sync, after.sync
        if now.running:
            return []
        # The first look after the tray's start tells what went wrong long ago: the menu shows that, nobody is called.
        ran = was.running or (was.last is not None and was.last != now.last)
        known, self._sync_error = self._sync_error, now.error
        # The same file that can't be read, sync after sync, is told once.
        return [Notice("sync_failed", {"message": now.error})] if ran and now.error and now.error != known else []


def _downloads(before: Snapshot, after: Snapshot) -> list[Notice]:
    names = {one.id: one.name for one in (*before.downloads, *after.downloads)}
    finished = [Notice("download_finished", {"name": names.get(id, id)}) for id in after.finished[len(before.finished) :]]
    running = {one.id for one in before.downloads if one.state == "downloading"}
    failed = [one for one in after.downloads if one.state == "failed" and one.id in running]
    return [*finished, *(Notice("download_failed", {"name": one.name, "message": one.error}) for one in failed)]


def _chat(before: Snapshot, after: Snapshot) -> list[Notice]:
    if after.chat.state == "failed" != before.chat.state:
        return [Notice("chat_failed", {"message": after.chat.error})]
    return []
