"""The engine's process: `python -m models.engine_worker`, started by `models.engine_client`.

Requests: "generate" {request, priority, chat_id} -> items and a last part, each a Piece; "count" {messages | prompt} -> int; "stats".
Events: {"load_progress": 0..1}. While requests run it looks for new ones between two steps; else it sleeps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from app.core import logs
from app.core.errors import BadRequest, OndolError
from app.core.records import Generation, Priority
from app.core.workers.child import Channel
from app.core.workers.frames import Call
from models import machine
from models.chat_template import ChatTemplate, Prompter
from models.engine import Engine, Output
from models.engine_client import EngineInfo, EngineSettings
from models.fit import Wishes, fit
from models.gguf import Header, read_header

log = logging.getLogger(__name__)
LARGEST_BATCH = 512


class LoadedEngine:
    """A model in memory, ready to serve: what the worker serves, and benchmarks drive without a process."""

    def __init__(self, path: Path, settings: EngineSettings, progress: Callable[[float], None] | None = None) -> None:
        header = _checked(path)
        from models import llama  # native code: only now that the file was found whole

        llama.self_test()
        gpus = llama.devices()
        wishes = Wishes(settings.context, settings.parallel, settings.threads, settings.gpu_layers)
        layout = fit(header, wishes, machine.look(free_vram=sum(gpu.free for gpu in gpus)))
        model = llama.Model(path, gpu_layers=layout.gpu_layers, progress=progress)
        decoder = model.decoder(
            cells=layout.cells, sequences=settings.parallel, batch=min(LARGEST_BATCH, layout.cells), threads=layout.threads
        )
        template = ChatTemplate(header.chat_template, bos=model.bos_text, eos=model.eos_text)
        self.prompter = Prompter(model, template)
        self.engine = Engine(model, decoder, context=layout.context, max_queue=settings.max_queue)
        self.info = EngineInfo(
            name=header.name or path.stem,
            architecture=header.architecture,
            quantisation=header.quantisation,
            parameters=model.parameters,
            size_bytes=header.file_size,
            context=layout.context,
            cells=decoder.cells,
            parallel=settings.parallel,
            threads=layout.threads,
            gpu_layers=layout.gpu_layers,
            chat_template=bool(header.chat_template),
        )

    def submit(self, id: int, request: Generation, priority: Priority) -> None:
        """Queue a request; its errors are raised."""
        stop = () if request.prompt is not None else self.prompter.template.stop
        self.engine.submit(id, self.prompter.tokens(request), request, priority, stop=stop)


def _checked(path: Path) -> Header:
    try:
        return read_header(path)
    except OSError as error:
        raise BadRequest(
            f"The model file {path.name} can't be read: {error.strerror}.", hint="Pull the model again.", code="bad_model_file"
        ) from None


def serve(channel: Channel, loaded: LoadedEngine) -> None:
    """Take requests in and hand text out, until the parent goes."""
    engine = loaded.engine
    while True:
        call = channel.get(timeout=None if engine.idle else 0)
        while call is not None:
            _take(channel, loaded, call)
            call = channel.get(timeout=0)
        if not engine.idle:
            for output in engine.step():
                _send(channel, output)


def _take(channel: Channel, loaded: LoadedEngine, call: Call) -> None:
    try:
        match call.op:
            case "cancel":
                loaded.engine.cancel(call.body)
                channel.done(call.body)
            case "generate":
                with logs.bind(call.request_id):
                    loaded.submit(call.id, msgspec.convert(call.body["request"], Generation), Priority(call.body["priority"]))
            case "count":
                channel.done(call.id, len(loaded.prompter.tokens(msgspec.convert(call.body, Generation))))
            case "stats":
                channel.done(call.id, msgspec.to_builtins(loaded.engine.stats()))
            case other:
                raise BadRequest(f"The engine has no operation {other!r}.")
    except OndolError as error:
        channel.error(call.id, error)
    # One request that makes no sense must not end the others.
    except Exception as error:  # noqa: BLE001
        channel.error(call.id, error)


def _send(channel: Channel, output: Output) -> None:
    if isinstance(output.news, OndolError):
        channel.error(output.id, output.news)
    elif output.news.finish_reason is None:
        channel.item(output.id, {"text": output.news.text})
    else:
        channel.done(output.id, msgspec.to_builtins(output.news))


class _Progress:
    """Tells the parent of a load, at most a hundred times."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self._told = channel, -1

    def __call__(self, done: float) -> None:
        if int(done * 100) > self._told:
            self._told = int(done * 100)
            self._channel.event({"load_progress": done})


def main() -> None:
    """Load what the parent asks for, say hello, serve."""
    with Channel.open() as channel:
        settings = dict(channel.settings)
        loaded = LoadedEngine(Path(settings.pop("model")), msgspec.convert(settings, EngineSettings), _Progress(channel))
        log.info("loaded: %s", loaded.info)
        channel.hello(msgspec.to_builtins(loaded.info))
        serve(channel, loaded)


if __name__ == "__main__":
    main()
