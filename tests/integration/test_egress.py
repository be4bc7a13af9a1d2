"""The guard in real processes: a refused connection leaves no packet, and its reason survives every client library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import asyncio, http.server, socket, socketserver, threading, urllib.request
from app.core import egress
from app.core.errors import EgressRefused
guard = egress.install(egress.Policy(PLACES))
def refused(act):
    try:
        act()
    except EgressRefused as error:
        return str(error)
    raise SystemExit("it was not refused")
"""


# A name service for `db.example`, below the guard: it audits as the real call does.
NAME_SERVICE = """
import socket, sys
ask = socket.getaddrinfo
def getaddrinfo(host, port, *args, **options):
    if host == "db.example":
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
        host = "192.0.2.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, int(port or 0)))]
    return ask(host, port, *args, **options)
socket.getaddrinfo = getaddrinfo
"""


def run(code: str, *, policy: str = "", before: tuple[str, ...] = (), first: str = "") -> str:
    program = first + PRELUDE.replace("PLACES", policy) + textwrap.dedent(code)
    done = subprocess.run([*before, sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_connection_outside_is_refused_whatever_socket_call_makes_it() -> None:
    run("""
        for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET, ("hub.example", 80))):
            refused(lambda: socket.socket(family).connect(address))
            refused(lambda: socket.socket(family).connect_ex(address))
            refused(lambda: socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", address))
        if socket.has_ipv6:
            refused(lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)))
            refused(lambda: socket.socket(socket.AF_INET6).connect(("::ffff:192.0.2.1", 80)))
        refused(lambda: socket.create_connection(("192.0.2.1", 80)))
    """)


def test_an_outside_name_is_refused_before_it_is_asked_for() -> None:
    run("""
        refused(lambda: socket.getaddrinfo("hub.example", 443))
        refused(lambda: socket.gethostbyname("hub.example"))
        refused(lambda: socket.gethostbyaddr("192.0.2.1"))
        refused(lambda: socket.getnameinfo(("192.0.2.1", 80), 0))
    """)


def test_loopback_answers_as_ever() -> None:
    run("""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("127.0.0.1", "localhost"):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{name}:{server.server_port}/pyproject.toml").read()
        socket.getfqdn()
    """)


def test_the_reason_of_a_refusal_survives_urllib_asyncio_and_aiohttp() -> None:
    run("""
        import aiohttp
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert "hub.example" in refused(lambda: direct.open("http://hub.example/x"))
        assert "192.0.2.1" in refused(lambda: direct.open("http://192.0.2.1/x"))
        async def by_asyncio(host):
            await asyncio.open_connection(host, 80)
        async def by_aiohttp(url):
            async with aiohttp.ClientSession() as session, session.get(url):
                pass
        for host in ("hub.example", "192.0.2.1"):
            assert host in refused(lambda: asyncio.run(by_asyncio(host)))
            assert host in refused(lambda: asyncio.run(by_aiohttp(f"http://{host}/x")))
    """)


def test_a_name_is_refused_unasked_whatever_socket_method_would_look_it_up() -> None:
    run("""
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        assert "hub.example" in refused(lambda: datagram.bind(("hub.example", 0)))
        if hasattr(datagram, "sendmsg"):
            assert "hub.example" in refused(lambda: datagram.sendmsg([b"x"], [], 0, ("hub.example", 53)))
            assert "192.0.2.1" in refused(lambda: datagram.sendmsg([b"x"], [], 0, ("192.0.2.1", 53)))
        datagram.bind(("127.0.0.1", 0))
    """)


def test_offline_a_proxy_on_this_machine_is_asked_for_nothing() -> None:
    asked = """
import http.server, os, sys, threading
asked = []
class Proxy(http.server.BaseHTTPRequestHandler):
    def handle_one_request(self):
        asked.append(self.rfile.readline())
        self.close_connection = True
proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ[name] = f"http://127.0.0.1:{proxy.server_port}"
"""
    fetch = """
        fetch = lambda url: urllib.request.urlopen(url, timeout=5).read()
        """
    run(
        fetch
        + """
        assert "hub.example" in refused(lambda: fetch("http://hub.example/x"))
        assert "hub.example" in refused(lambda: fetch("https://hub.example/x"))
        assert asked == [], asked
        """,
        policy="'offline'",
        first=asked,
    )
    run(
        fetch
        + """
        try:
            fetch("http://hub.example/x")
        except OSError:
            pass
        assert asked, "the proxy of this test is one that is asked"
        """,
        first=asked,
    )


def network_namespace() -> tuple[str, ...]:
    """The start of a command that runs in a network of its own, with one far address that really answers."""
    if sys.platform != "linux" or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("network namespaces are Linux's (unshare and ip)")
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user can make no network namespace")
    return ("unshare", "-n", "sh", "-c", 'ip link set lo up && ip addr add 192.0.2.9/32 dev lo && exec "$@"', "sh")


def test_a_configured_name_is_resolved_and_its_addresses_are_reached_on_its_port_alone() -> None:
    run(
        """
        server, other = socket.create_server(("192.0.2.9", 8080)), socket.create_server(("192.0.2.9", 8081))
        socket.create_connection(("db.example", 8080)).close()
        socket.create_connection(("192.0.2.9", 8080)).close()
        refused(lambda: socket.create_connection(("192.0.2.9", 8081)))
        refused(lambda: socket.create_connection(("db.example", 8081)))
        """,
        policy="places=('db.example:8080',)",
        before=network_namespace(),
        first=NAME_SERVICE,
    )


def test_an_address_that_native_code_resolved_counts_as_the_allowed_name_that_it_belongs_to() -> None:
    run(
        """
        server = socket.create_server(("192.0.2.9", 8080))
        socket.create_connection(("192.0.2.9", 8080)).close()
        refused(lambda: socket.create_connection(("192.0.2.10", 8080)))
        """,
        policy="places=('db.example:8080',)",
        before=network_namespace(),
        first=NAME_SERVICE,
    )


def test_an_allowance_lets_a_download_through_and_closes_behind_it() -> None:
    run(
        """
        server = socketserver.ThreadingTCPServer(("192.0.2.9", 8080), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch = lambda: urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://db.example:8080/pyproject.toml").read()
        refused(fetch)
        with egress.allow("db.example:8080"):
            assert fetch()
        refused(fetch)
        """,
        before=network_namespace(),
        first=NAME_SERVICE,
    )


def test_the_guard_of_a_process_is_not_exchanged() -> None:
    run("""
        assert egress.install(egress.Policy()) is guard
        try:
            egress.install(egress.Policy(places=("elsewhere.example",)))
        except RuntimeError:
            pass
        else:
            raise SystemExit("a second policy was taken")
    """)


def test_a_worker_keeps_the_policy_of_its_parent(tmp_path: Path) -> None:
    run(f"""
        import sys
        sys.path.append({str(Path(__file__).parent)!r})
        from pathlib import Path
        from app.core.workers.parent import Worker
        async def main():
            worker = Worker("guarded", "worker_program", {{}}, logs=Path({str(tmp_path)!r}))
            try:
                await worker.call("connect", ["192.0.2.1", 80])
            except EgressRefused as error:
                assert "192.0.2.1" in str(error)
            else:
                raise SystemExit("the worker went out")
            finally:
                await worker.stop()
        asyncio.run(main())
    """)


def test_offline_the_guard_stands_before_a_source_of_ones_own_is_made(tmp_path: Path) -> None:
    (tmp_path / "talkative_source.py").write_text(
        textwrap.dedent("""
            import socket
            class Talkative:
                def __init__(self):
                    socket.create_connection(("192.0.2.1", 80), 1)
                async def search(self, query):
                    return []
        """),
        encoding="utf-8",
    )
    (tmp_path / "config.yaml").write_text("network: offline\nsources: {mine: {type: 'talkative_source:Talkative'}}\n", encoding="utf-8")
    environment = {
        **os.environ,
        "ONDOL_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))),
    }
    line = [sys.executable, "-m", "app.cli", "serve", "--port", "0"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 77
    assert "192.0.2.1" in done.stderr


def test_the_models_command_and_the_tray_have_a_guard_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    commands = {
        "import app.cli.models; app.cli.models._library()": tmp_path,
        # A data folder that can't be made ends the tray before it starts a server, and after it has its guard.
        "import tray.main; tray.main.main()": tmp_path / "file" / "home",
    }
    for command, home in commands.items():
        code = f"""
import contextlib, socket
from app.core.errors import BadSetting, EgressRefused
with contextlib.suppress(BadSetting, SystemExit):
    {command}
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except EgressRefused:
    print("refused")
"""
        line = [sys.executable, "-c", code]
        done = subprocess.run(line, env={**os.environ, "ONDOL_HOME": str(home)}, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout == "refused\n", done.stderr
