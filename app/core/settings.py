"""The settings: what there is to set, and how file, environment and flags become one frozen value.

In rising order: defaults, `config.yaml`, environment, flags of the command line. The plain form (`ai_backend`,
`data_source`) becomes a backend and a source named `default` and an assistant named `assistant`.
Everything that is wrong is told at once, in one BadSetting, with the line and what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from app.core import logs, settings_check
from app.core.errors import BadSetting
from app.core.hosts import is_this_machine, named_in, split
from app.core.names import composed
from app.core.paths import Home
from app.core.redaction import redact_values, secrets_in
from app.core.settings_check import Key, nearest
from app.core.settings_file import Node, Problems, origins, overlay, parse

LOCAL = "local"  # the backend that is there without being configured


class ServerSettings(Struct, frozen=True):
    """Where the server listens, and for whom."""

    host: Annotated[str, Meta(description="The address to bind; 0.0.0.0 lets other machines in", min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(description="The port; 0 lets the system choose", ge=0, le=65535)] = 11500
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="Host names beside this machine's by which clients may call (host.docker.internal)")
    ] = ()
    cors_origins: Annotated[tuple[str, ...], Meta(description="Web pages that may call from a browser (https://chat.example)")] = ()


class LogSettings(Struct, frozen=True):
    """How much is logged and kept, per process."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="The least that is written")] = "info"
    megabytes: Annotated[float, Meta(description="A file's size before a new one begins", gt=0)] = 10
    files: Annotated[int, Meta(description="Old files that are kept", ge=1)] = 5

    @property
    def options(self) -> logs.LogOptions:
        """As a log is set up with them."""
        return logs.LogOptions(self.level, self.megabytes, self.files)


class ModelSettings(Struct, frozen=True):
    """The local models: which, and how much of the machine they take."""

    default: Annotated[str, Meta(description="The chat model's id; empty: the one that is there")] = ""
    embedder: Annotated[str, Meta(description="The embedding model's id; empty: the one that is there")] = ""
    context: Annotated[int, Meta(description="Tokens of context; 0: what the model and the memory allow", ge=0)] = 0
    parallel: Annotated[int, Meta(description="Requests that one model works on at once", ge=1, le=256)] = 8
    threads: Annotated[int, Meta(description="Processor threads; 0: one per physical core", ge=0)] = 0
    gpu_layers: Annotated[int, Meta(description="Layers on the GPU; -1: all where they fit", ge=-1)] = -1
    max_queue: Annotated[int, Meta(description="Requests that may wait; above it clients are told to come back", ge=0)] = 64
    cache_memory_megabytes: Annotated[int, Meta(description="Memory for chats that a model's cache has no room for; 0: none", ge=0)] = 512
    cache_disk_megabytes: Annotated[
        int, Meta(description="Disk for what models have read of chats, so that they go on at once after a restart; 0: none", ge=0)
    ] = 2048
    tune: Annotated[
        Literal["auto", "off"],
        Meta(description="Measure once, when nobody asks for anything, how a model runs best on this machine; its next load uses it"),
    ] = "auto"
    speculate: Annotated[
        Literal["auto", "on", "off"],
        Meta(description="Guess ahead what a text repeats: where that was measured to be faster, always, or never; the text is the same"),
    ] = "auto"
    projectors: Annotated[
        dict[str, str],
        Meta(description="The projector (mmproj GGUF) by which a model sees pictures, by its id, where it is none that was pulled with it"),
    ] = {}
    idle_minutes: Annotated[float, Meta(description="A chat model unused for so long leaves the memory; 0: never", ge=0)] = 30
    embedder_idle_minutes: Annotated[float, Meta(description="The same for the embedding model", ge=0)] = 30
    engine: Annotated[
        Literal["built-in", "llama-server"], Meta(description="Ondol's own engine, or llama.cpp's own server as a program of this machine")
    ] = "built-in"
    llama_server: Annotated[str, Meta(description="That program, for `engine: llama-server`; empty: the one on PATH")] = ""


class TaskSettings(Struct, frozen=True):
    """The chat page's own requests beside a chat: titles, tags, follow-up questions, search queries."""

    model: Annotated[
        str, Meta(description="The local model that writes them; `same`: the chat's own; empty: made from the chat itself, without a model")
    ] = ""


class IngestSettings(Struct, frozen=True):
    """How documents become chunks, and what a sync may do."""

    chunk_tokens: Annotated[int, Meta(description="Tokens of a chunk, at most", ge=16)] = 220
    chunk_overlap: Annotated[int, Meta(description="Tokens that a chunk repeats of the one before", ge=0)] = 40
    max_file_megabytes: Annotated[float, Meta(description="Larger files are set aside", gt=0)] = 50
    max_pages: Annotated[int, Meta(description="Documents of more pages are set aside", ge=1)] = 5000
    max_unpacked_megabytes: Annotated[float, Meta(description="Archives that unpack to more are set aside", gt=0)] = 1000
    read_seconds: Annotated[float, Meta(description="Seconds that one file may take to be read", gt=0)] = 120
    read_memory_megabytes: Annotated[float, Meta(description="Memory that one file may take to be read", ge=100)] = 2000
    tesseract: Annotated[str, Meta(description="The program Tesseract, which reads scans and pictures; empty: the one on PATH")] = ""
    slot_wal_megabytes: Annotated[
        int, Meta(description="WAL that a database may keep for a followed table; with more, the whole table is compared instead", ge=1)
    ] = 4000
    stuck_minutes: Annotated[float, Meta(description="A run by schedule that tells no progress for so long is ended", gt=0)] = 60
    delete_guard: Annotated[float, Meta(description="A sync that would delete more than this share stops and asks", ge=0, le=1)] = 0.5


class Plug(Struct, frozen=True):
    """An adapter by its type, with its own configuration."""

    type: Annotated[str, Meta(description="A registered name, or `package.module:Class` of your own", min_length=1)]
    config: Annotated[dict[str, Any], Meta(description="What the adapter asks for")] = {}


class BackendSettings(Plug, frozen=True):
    """An AI backend."""


class SourceSettings(Plug, frozen=True):
    """A data source."""

    weight: Annotated[float, Meta(description="How much its ranks count beside other sources'", ge=0)] = 1.0
    deadline: Annotated[float, Meta(description="Seconds to answer in; after it the others go on", gt=0)] = 10.0


class AdapterSettings(Struct, frozen=True):
    """A LoRA adapter over a local model; requests name it by its place among the model's."""

    model: Annotated[str, Meta(description="The id of the chat model that it was made for", min_length=1)]
    file: Annotated[str, Meta(description="The adapter as GGUF; a path, from the data folder on where it is not absolute", min_length=1)]
    scale: Annotated[float, Meta(description="How strongly it counts where a request doesn't say; 0: off", ge=-100, le=100)] = 1.0


class AssistantSettings(Struct, frozen=True):
    """A backend with sources, under a name that users pick from the model list."""

    backend: Annotated[str, Meta(description="A name under `backends`; empty or `local`: the models of this machine")] = ""
    model: Annotated[str, Meta(description="The backend's model; empty: its default")] = ""
    sources: Annotated[tuple[str, ...], Meta(description="Names under `sources`, and stores of ingested documents")] = ()
    style: Annotated[
        Literal["auto", "written", "quote"], Meta(description="The model writes, or the passages are quoted; auto: by the model's size")
    ] = "auto"
    system: Annotated[str, Meta(description="What the model is told first")] = ""
    description: Annotated[str, Meta(description="What users read beside the name")] = ""
    suggestions: Annotated[tuple[str, ...], Meta(description="Questions to begin with")] = ()
    threshold: Annotated[float | None, Meta(description="Relevance below which it says `not in your data`; null: measured")] = None
    top_k: Annotated[int, Meta(description="Passages that the model sees", ge=1)] = 8


class Processing(Struct, frozen=True):
    """How passages are prepared for the model."""

    max_context_length: Annotated[int, Meta(description="Tokens that passages may take in the prompt", ge=1)] = 4000
    chunk_overlap: Annotated[int, Meta(description="Characters that neighbouring passages may share before one is cut", ge=0)] = 200
    search_top_k: Annotated[int, Meta(description="Passages that are asked of each source", ge=1)] = 10
    freshness_seconds: Annotated[
        float, Meta(description="What an answer waits at most to hear whether cited rows and files have changed; 0: nobody looks", ge=0)
    ] = 0.3


class ResponseFormat(Struct, frozen=True):
    """What an answer looks like."""

    structured: Annotated[bool, Meta(description="Sections and lists instead of running text")] = False
    include_sources: Annotated[bool, Meta(description="Answers carry their sources")] = True
    max_length: Annotated[int | None, Meta(description="Tokens of an answer, at most; null: the model's own end")] = None


class Settings(Struct, frozen=True):
    """All settings. `ai_backend` and `data_source` are None once loaded: they stand under `backends` and `sources` then."""

    server: ServerSettings = ServerSettings()
    network: Annotated[
        Literal["configured", "offline"], Meta(description="Reach what the configuration names, or data sources alone (see Network)")
    ] = "configured"
    log: LogSettings = LogSettings()
    models: ModelSettings = ModelSettings()
    tasks: TaskSettings = TaskSettings()
    ingest: IngestSettings = IngestSettings()
    backends: dict[str, BackendSettings] = {}
    sources: dict[str, SourceSettings] = {}
    assistants: dict[str, AssistantSettings] = {}
    adapters: dict[str, AdapterSettings] = {}
    processing: Processing = Processing()
    response_format: ResponseFormat = ResponseFormat()
    ai_backend: Plug | None = None
    data_source: Plug | None = None
    origin: dict[str, str] = {}

    def where(self, path: str) -> str:
        """The file and line (or variable, or flag) that set `path` (`backends.gpt.type`), or the nearest setting above it."""
        while path and path not in self.origin:
            path = path.rpartition(".")[0]
        return self.origin.get(path, "the defaults")


def load_settings(home: Home, *, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force. `flags` are dotted names (`server.port`), None where not given.

    All faults are one BadSetting. Secrets are hidden from this process's log from now on.
    """
    named = environ.get("ONDOL_CONFIG")
    path = Path(named).expanduser() if named else home.root / "config.yaml"
    problems = Problems()
    root = parse(_text(path, required=bool(named)), environ, problems)
    root = overlay(root, _from_environment(environ, problems))
    root = overlay(root, [(name, value, f"flag {name}") for name, value in (flags or {}).items() if value is not None])
    loaded = _resolved(settings_check.build(Settings, root, problems), root, problems)
    if not problems.lines:
        _check_together(loaded, problems)
    if problems.lines:
        count = len(problems.lines)
        head = "a problem" if count == 1 else f"{count} problems"
        raise BadSetting("\n  ".join([f"{path} has {head}:" if path.exists() else f"The settings have {head}:", *problems.lines]))
    for secret in secrets_in(plain(loaded)):
        logs.hide(secret)
    return msgspec.structs.replace(loaded, origin={key: _place(path, place) for key, place in loaded.origin.items()})


def describe() -> list[Key]:
    """Every setting with its type, default and meaning."""
    return list(settings_check.keys(Settings))


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, as the file would hold them."""
    values: dict[str, Any] = msgspec.to_builtins(settings)
    return {name: value for name, value in values.items() if name != "origin" and value is not None}


def redacted(settings: Settings) -> dict[str, Any]:
    """The same with keys, passwords and tokens hidden: fit to be shown."""
    hidden: dict[str, Any] = redact_values(plain(settings))
    return hidden


def dump(values: Mapping[str, Any]) -> str:
    """Plain settings as YAML that `load_settings` reads back to the same."""
    return yaml.safe_dump(_escaped(dict(values)), sort_keys=False, allow_unicode=True, width=120)


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _place(path: Path, place: str) -> str:
    return f"{path.name} {place}" if place.startswith("line ") else place


def _text(path: Path, *, required: bool) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if required:
            raise BadSetting(f"ONDOL_CONFIG names {path}, which does not exist.", hint="Make the file, or unset ONDOL_CONFIG.") from None
        return ""
    except UnicodeDecodeError:
        raise BadSetting(f"{path} is not UTF-8 text.", hint="Save it again with the encoding UTF-8.") from None
    except OSError as error:
        raise BadSetting(f"{path} can't be read: {error.strerror}.", hint="Check its permissions.") from None


def _from_environment(environ: Mapping[str, str], problems: Problems) -> list[tuple[str, str, str]]:
    """(dotted name, value, origin) of what the environment sets; an empty variable sets nothing."""
    short = {"ONDOL_HOST": "server.host", "ONDOL_PORT": "server.port", "ONDOL_NETWORK": "network"}
    known = {key.name for key in describe() if "NAME" not in key.name and not key.name.startswith(("ai_backend", "data_source"))}
    found = []
    for variable in sorted(environ):
        name = short.get(variable)
        if name is None and variable.startswith("ONDOL_") and "__" in variable:
            name = variable.removeprefix("ONDOL_").lower().replace("__", ".")
            if name not in known:
                problems.add(f"environment variable {variable}", f"`{name}` is no setting.{nearest(name, known)}")
                continue
        if name is not None and environ[variable]:
            found.append((name, environ[variable], f"environment variable {variable}"))
    return found


def _in_one_form(section: str, named: Mapping[str, Any], origin: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in ((composed(given), value) for given, value in named.items()):
        if name in found:
            place = f"{section}.{name}"
            problems.add(origin.get(place, ""), f"`{place}` stands twice, in two Unicode forms. Keep one of them.")
        found[name] = value
    return found


def _resolved(settings: Settings, root: Node, problems: Problems) -> Settings:
    """The plain form as a backend, a source and an assistant; a name that is taken already is a problem with both lines."""
    origin = {composed(place): where for place, where in origins(root).items()}
    backends = dict(settings.backends)
    sources = _in_one_form("sources", settings.sources, origin, problems)
    assistants = {
        name: msgspec.structs.replace(wanted, sources=tuple(map(composed, wanted.sources)))
        for name, wanted in _in_one_form("assistants", settings.assistants, origin, problems).items()
    }
    backend, source = settings.ai_backend, settings.data_source

    def claim(taken: Mapping[str, Any], section: str, name: str, form: str) -> None:
        if name in taken:
            place = origin.get(f"{section}.{name}", "")
            problems.add(
                origin.get(form, ""), f"`{form}` makes the name `{name}`, which `{section}` has already at {place}. Keep one of them."
            )
        origin[f"{section}.{name}"] = origin.get(form, "")

    if backend is not None:
        claim(backends, "backends", "default", "ai_backend")
        backends["default"] = BackendSettings(backend.type, backend.config)
    if source is not None:
        claim(sources, "sources", "default", "data_source")
        sources["default"] = SourceSettings(source.type, source.config)
    if backend is not None or source is not None:
        claim(assistants, "assistants", "assistant", "ai_backend" if backend is not None else "data_source")
        assistants["assistant"] = AssistantSettings(
            backend="default" if backend is not None else "",
            model=str(backend.config.get("model") or "") if backend is not None else "",
            sources=("default",) if source is not None else (),
            top_k=settings.processing.search_top_k,
        )
    return msgspec.structs.replace(
        settings, backends=backends, sources=sources, assistants=assistants, ai_backend=None, data_source=None, origin=origin
    )


def _check_together(settings: Settings, problems: Problems) -> None:
    for name, assistant in settings.assistants.items():
        path = f"assistants.{name}"
        # Sources are not checked here: a store of ingested documents is one too, and may come later.
        if assistant.backend not in ("", LOCAL, *settings.backends):
            known = nearest(assistant.backend, [LOCAL, *settings.backends])
            problems.add(settings.where(f"{path}.backend"), f"`{path}` names the backend `{assistant.backend}`, which there is not.{known}")
    if settings.ingest.chunk_overlap >= settings.ingest.chunk_tokens:
        problems.add(settings.where("ingest.chunk_overlap"), "`ingest.chunk_overlap` must be smaller than `ingest.chunk_tokens`")
    if settings.network == "offline":
        for name, backend in settings.backends.items():
            far = [place for place in named_in(backend.config) if not is_this_machine(split(place)[0])]
            if far:
                problems.add(
                    settings.where(f"backends.{name}"),
                    f"the backend `{name}` is at {far[0]}, but `network: offline` reaches data sources only. "
                    "Remove it, or set `network: configured`.",
                )
