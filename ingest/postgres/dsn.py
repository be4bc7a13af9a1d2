"""How a database is named: every form of PostgreSQL's connection strings, with the password taken out at once."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.core.errors import BadRequest, Deadline, OndolError, UpstreamError

_FORMS = "postgresql://USER:PASSWORD@HOST:5432/DATABASE, or key=value words as psql takes them"


@dataclass(frozen=True)
class Dsn:
    """A database without its password. `parameters` are libpq's, as strings; the password never shows in `repr`."""

    parameters: Mapping[str, str]
    password: str | None = field(default=None, repr=False)

    @property
    def connection(self) -> str:
        """`host:port/database`: what document ids begin with."""
        given = self.parameters
        host = given.get("host") or given.get("hostaddr") or given.get("service") or os.environ.get("PGHOST") or "localhost"
        port = given.get("port") or os.environ.get("PGPORT") or "5432"
        return f"{host}:{port}/{given.get('dbname') or os.environ.get('PGDATABASE') or self.user}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names and addresses that it is reached at; none for a socket of this machine."""
        given = self.parameters.get("host") or os.environ.get("PGHOST") or ""
        return tuple(host for host in given.split(",") if host and not host.startswith(("/", "@")))

    @property
    def user(self) -> str:
        """Who connects."""
        return self.parameters.get("user") or os.environ.get("PGUSER") or getpass.getuser()

    @property
    def secret_name(self) -> str:
        """The name of its password among the secrets."""
        return f"postgresql://{self.user}@{self.connection}"

    def hide(self, text: str) -> str:
        """The text without the password, should a library have quoted it."""
        return text.replace(self.password, "***") if self.password else text


def parse_dsn(given: str) -> Dsn:
    """BadRequest where the text is no connection string; the message never repeats it."""
    text = re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql://", given.strip())
    if text.startswith("postgresql://"):
        text = text.replace(" ", "%20")  # of a database's name, as it is typed
    if not text.startswith("postgresql://") and "=" not in text:
        raise BadRequest("This is not a PostgreSQL address.", hint=f"Write {_FORMS}.", param="dsn")
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.ProgrammingError:
        raise BadRequest("The PostgreSQL address can't be understood.", hint=f"Write {_FORMS}.", param="dsn") from None
    host, port = parameters.get("host", ""), parameters.get("port", "")
    if "@" in host or not re.fullmatch(r"[\d,]*", port):
        raise BadRequest(
            "The PostgreSQL address can't be understood: its password seems to hold one of @ : / ? #.",
            hint="Write them as %40 %3A %2F %3F %23, or use the key=value form.",
            param="dsn",
        )
    if "sslpassword" in parameters:
        raise BadRequest("sslpassword is not supported.", hint="Use a client key without a passphrase that only you may read.", param="dsn")
    password = parameters.pop("password", None)
    return Dsn(parameters, password or None)


_CONNECT_FAULTS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"resolve host|translate host name|Name or service not known|nodename nor",
        "host_unknown",
        "The host of {at} is not known.",
        "Check its spelling, and the network.",
    ),
    (
        r"timeout expired|timed out|connection timeout",
        "database_timeout",
        "{at} did not answer within 10 s.",
        "Check host and port, and whether a firewall stands between.",
    ),
    (
        r"Connection refused|No such file or directory|Network is unreachable|No route to host",
        "database_unreachable",
        "Nothing answers at {at}.",
        "Check host and port, and that PostgreSQL is running and accepts connections from here.",
    ),
    (
        r'database ".*" does not exist|데이터베이스.*(없|존재하지)',
        "database_unknown",
        "There is no such database at {at}.",
        "Check the name after the last slash.",
    ),
    (
        r"pg_hba\.conf",
        "access_refused",
        "{at} lets {user} not in from this computer.",
        "Its administrator allows it with a line in pg_hba.conf (or TLS is needed: add ?sslmode=require).",
    ),
    (r'role ".*" does not exist|롤.*(없|존재하지)', "user_unknown", "There is no user {user} at {at}.", "Check the name before the colon."),
    (
        r"invalid response to SSL|expected authentication request",
        "not_postgresql",
        "What answers at {at} is no PostgreSQL.",
        "Check the port.",
    ),
    (
        r"SSL|TLS|certificate",
        "database_tls",
        "{at} and this computer don't agree about TLS: {said}.",
        "Set sslmode (disable, require or verify-full) and, for a private authority, sslrootcert.",
    ),
    (
        r"no password supplied",
        "password_missing",
        "{at} asks {user} for a password, and there is none.",
        "Give it in the address, in PGPASSWORD or in ~/.pgpass.",
    ),
    (
        r"password|authentication|인증",
        "wrong_password",
        "{at} does not accept the password of {user}.",
        "Check user and password in the address.",
    ),
    (r"too many (clients|connections)|remaining connection slots", "database_busy", "{at} has no free connection.", "Try again later."),
)


def connect_fault(error: Exception, dsn: Dsn) -> OndolError:
    """What went wrong on the way to a database, with what to do. libpq gives no codes here, only words."""
    said = dsn.hide(" ".join(str(error).split())).rstrip(".")
    for pattern, code, message, hint in _CONNECT_FAULTS:
        if re.search(pattern, said):
            kind = Deadline if code == "database_timeout" else UpstreamError
            return kind(message.format(at=dsn.connection, user=dsn.user, said=said), hint=hint, code=code)
    return UpstreamError(f"{dsn.connection} can't be reached: {said}.", hint="Check the address.", code="database_unreachable")


def denied(dsn: Dsn, table: str, said: str = "") -> OndolError:
    """The user may not read a table: who grants it, and how."""
    parts, user = [_identifier(part) for part in table.split(".", maxsplit=1)], _identifier(dsn.user)
    grants = f"GRANT SELECT ON {'.'.join(parts)} TO {user};"
    if parts[0] != "public" or re.search("schema|스키마", said):
        grants = f"GRANT USAGE ON SCHEMA {parts[0]} TO {user}; {grants}"
    return UpstreamError(f"{dsn.user} may not read {table}.", hint=f"Its owner allows it with: {grants}", code="permission_denied")


def _identifier(name: str) -> str:
    """A name as a statement takes it."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def not_in(encoding: str, table: str) -> OndolError:
    """A database that does not know how its text is written has sent some that can't be read in this encoding."""
    return UpstreamError(
        f"{table} holds text that is not {encoding.upper()}, and its database does not say what it is (SQL_ASCII).",
        hint="Add it to the address: ?client_encoding=UHC for Korean Windows (CP949), EUC_KR, LATIN1.",
        code="database_encoding",
    )


def query_fault(error: psycopg.Error, dsn: Dsn, table: str) -> OndolError:
    """What went wrong while a table was read."""
    said = dsn.hide(" ".join(str(error.diag.message_primary or error).split()))
    match error.sqlstate:
        case "42501":
            return denied(dsn, table, said)
        case "57014":
            return Deadline(f"{table} took too long to read.", hint="Try again when the database has less to do, or ingest a smaller view.")
        case "22021":
            found = re.search(r'"(\w+)"', said)
            return not_in(found[1] if found else "UTF-8", table)
        case "55P03":
            return Deadline(f"{table} is locked by somebody else.", hint="Try again later.")
        case "08001" | "08006" if error.diag.severity_nonlocalized == "ERROR":  # the database's own words: it is there
            return UpstreamError(
                f"{table} lies on another server, which {dsn.connection} can't reach: {said.rstrip('.')}.",
                hint="Try again when that server is there: nothing was removed.",
                code="foreign_server_unreachable",
            )
        case state if state is None or state.startswith(("08", "57P")):
            return UpstreamError(
                f"The connection to {dsn.connection} broke: {said.rstrip('.')}.",
                hint="Try again: what was done stays done.",
                code="connection_lost",
            )
    return UpstreamError(f"{table} could not be read: {said}", code="query_failed")
