"""The engine's process: `python -m models.engine.worker`, started by `models.engine.client`.

Requests: "generate" {request, priority, chat_id} -> items, each a Piece or Waiting, and a Piece as its last part;
"count" {messages | prompt} -> int; "words", a question of `models.engine.words` -> its answer; "stats".
Events: {"load_progress": 0..1}, {"running", "waiting"} when these counts change, {"beat"} where a step had no text.
While requests run it looks for new ones between two steps; else it saves what it keeps of chats, and sleeps. A cancel ends a
step that computes for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.core import logs
from app.core.collecting import settle
from app.core.errors import BadRequest, BadSetting, OndolError
from app.core.records import Generation, Piece, Priority
from app.core.workers.child import Channel
from app.core.workers.frames import Call
from models.engine import machine, memory, words
from models.engine.chat_template import ChatTemplate, Prompter
from models.engine.client import EngineInfo, EngineSettings
from models.engine.crew import Crew
from models.engine.engine import Engine
from models.engine.eyes import Eyes
from models.engine.fit import Wishes, beside, fit, kept_beside, lane, passing
from models.engine.lanes import Lanes
from models.engine.outlet import EVERY, Outlet
from models.engine.reasoning import TAGS
from models.engine.request import Output
from models.engine.shelf import Shelf, fingerprint
from models.engine.speculation import speculation
from models.engine.speech import Speech
from models.engine.tools.plan import plan
from models.engine.tuning.measure import open_context
from models.engine.tuning.remembered import Remembered
from models.gguf import Header, read_header

if TYPE_CHECKING:
    from models.engine.decoding import Decoder
    from models.engine.llama.model import Model

log = logging.getLogger(__name__)
LARGEST_BATCH = 512
# Sequences beside those of requests that run, for what is kept of earlier ones; a state that can't go back costs memory of its own.
SPARE_SEQUENCES, SPARE_STATES = 16, 4
KEPT_SHARE = 0.5  # of the cells: each row looks at them all, if only to pass over them
REST_SECONDS = 1.0  # of nothing to do, before what is kept is brought to safety
MOST_SEQUENCES = 256  # llama.cpp's own limit
LOOK_EVERY = 0.02  # seconds, where everybody waits for pictures to be seen


class LoadedEngine:
    """A model in memory, ready to serve: what the worker serves, and benchmarks drive without a process."""

    def __init__(self, path: Path, settings: EngineSettings, progress: Callable[[float], None] | None = None) -> None:
        header = _checked(path)
        from models.engine.llama import binding  # native code: only now that the file was found whole
        from models.engine.llama.model import Model

        binding.self_test()
        gpus = binding.devices()
        wishes = Wishes(settings.context, settings.parallel, settings.threads, settings.gpu_layers)
        here = machine.look(free_vram=sum(gpu.free for gpu in gpus))
        projector, why = _projector(settings.projector)
        if projector is not None:
            here = beside(here, projector.stat().st_size)
        layout = fit(header, wishes, here)
        if not layout.gpu_layers:
            memory.check(layout.cells, header.kv_bytes_per_token, here.free_memory)
        model = self.model = Model(path, gpu_layers=layout.gpu_layers, adapters=settings.adapters, progress=progress)
        sequences = min(MOST_SEQUENCES, settings.parallel + (SPARE_SEQUENCES if model.truncates else SPARE_STATES))
        remembered = Remembered(path, settings, layout, here, library=binding.PINNED, gpus=[gpu.name for gpu in gpus])
        way, batch = remembered.layout, min(LARGEST_BATCH, layout.cells)
        self.eyes, why, whole = _eyes(model, projector, why, threads=max(1, way.threads * 3 // 4), gpu=layout.gpu_layers > 0)
        # A part of a picture that sees itself whole is computed at once.
        batch, ubatch = max(batch, whole), max(min(way.ubatch, batch), whole)
        # A number of threads that its owner chose stays; and on a GPU they have little to do.
        crew = None if settings.threads or layout.gpu_layers else Crew(way.threads)
        decoder = model.decoder(
            cells=layout.cells, sequences=sequences, batch=batch, threads=way.threads, ubatch=ubatch, flash=way.flash, crew=crew
        )
        self.tuning = remembered.when_idle(partial(open_context, model), decoder.interrupt, truncates=model.truncates)
        template = ChatTemplate(header.chat_template, bos=model.bos_text, eos=model.eos_text)
        self.prompter = Prompter(model, template, sight=self.eyes.sight if self.eyes else None, why=why)
        model.speak({*TAGS, *template.learned.dialect.marks})
        usual = tuple(adapter.scale for adapter in settings.adapters)
        seen = (fingerprint(projector),) if projector is not None and self.eyes else ()
        # Pictures and adapters are the wide context's alone.
        plain = model.truncates and not (decoder.window or settings.adapters or self.eyes)
        length = lane(header, layout, settings.parallel, here.free_memory) if plain else 0

        def lanes() -> Decoder:
            cells, count = length * settings.parallel, settings.parallel
            # Others may have taken since what was free at the load.
            memory.check(cells, header.kv_bytes_per_token, machine.look().free_memory)
            return model.decoder(cells=cells, sequences=count, batch=count, threads=way.threads, flash=way.flash, unified=False, crew=crew)

        self.engine = Engine(
            model,
            Lanes(decoder, lanes, count=settings.parallel, length=length, passing=passing(header, way.threads)),
            context=layout.context,
            max_queue=settings.max_queue,
            adapters=usual,
            parallel=settings.parallel,
            keep=int(decoder.cells * KEPT_SHARE),
            beside=kept_beside(header, layout.gpu_layers),
            shelf=Shelf(
                fingerprint(path, binding.PINNED, layout.gpu_layers > 0, settings.adapters, *seen),
                memory=min(settings.cache_memory, here.free_memory // 8),
                folder=Path(settings.cache_folder) if settings.cache_folder else None,
                disk=settings.cache_disk,
            ),
            speculation=speculation(settings.speculate, remembered.curve),
            eyes=self.eyes,
        )
        self.info = EngineInfo(
            name=header.name or path.stem,
            architecture=header.architecture,
            quantisation=header.quantisation,
            parameters=model.parameters,
            size_bytes=header.file_size,
            context=layout.context,
            cells=decoder.cells,
            parallel=settings.parallel,
            threads=way.threads,
            gpu_layers=layout.gpu_layers,
            chat_template=bool(header.chat_template),
            vision=self.eyes is not None,
        )

    def submit(self, id: int, request: Generation, priority: Priority, chat: str = "") -> None:
        """Queue a request of the chat `chat`; its errors are raised."""
        tokens, opened, spans = self.prompter.prompt(request)
        template = self.prompter.template
        rule, thoughts, listener = plan(request, template.learned.dialect, opened)
        stop = request.stop if request.prompt is not None else (*request.stop, *template.stop)
        self.engine.submit(id, tokens, request, priority, Speech(stop, thoughts, listener), rule, chat=chat, spans=spans)


def _projector(name: str) -> tuple[Path | None, str]:
    """The projector's file, or why there is none: a model writes as well without one."""
    try:
        if name and (found := _checked(Path(name)).architecture) != "clip":
            return None, f"{Path(name).name} is no projector, but a model ({found})"
    except BadRequest as error:
        log.warning("the model can't see: %s", error)
        return None, str(error)
    return (Path(name), "") if name else (None, "")


def _eyes(model: Model, path: Path | None, why: str, *, threads: int, gpu: bool) -> tuple[Eyes | None, str, int]:
    """The eyes of a model that has a projector, or why they don't open; and how many tokens must be computed at once for them."""
    if path is None:
        return None, why, 0
    try:
        projector = model.projector(path, threads=threads, gpu=gpu)
    except BadSetting as error:
        log.warning("the model can't see: %s", error)
        return None, str(error), 0
    return Eyes(projector), "", projector.largest


def _checked(path: Path) -> Header:
    try:
        return read_header(path)
    except OSError as error:
        raise BadRequest(
            f"The model file {path.name} can't be read: {error.strerror}.", hint="Pull the model again.", code="bad_model_file"
        ) from None


def serve(channel: Channel, loaded: LoadedEngine) -> None:
    """Take requests in and hand text out, until the parent goes."""
    engine, crowd, outlet = loaded.engine, _Crowd(channel), Outlet(partial(_send, channel))
    channel.on_cancel = engine.abandon
    if loaded.tuning is not None:
        channel.on_call = loaded.tuning.disturb
    crowd.tell(*engine.crowd)
    rest: float | None = REST_SECONDS
    while True:
        call = channel.get(timeout=rest if engine.idle else LOOK_EVERY if engine.stalled else 0)
        if call is None and engine.idle:
            rest = 0.0 if engine.save() else loaded.tuning.rest() if loaded.tuning else None
            continue
        rest = REST_SECONDS
        while call is not None:
            if call.op == "cancel":
                outlet.forget(call.body)
            _take(channel, loaded, call)
            call = channel.get(timeout=0)
        if loaded.tuning is not None:
            loaded.tuning.pause()
        # Places are told and counts are true before a batch is computed, which may take a second.
        said = False
        for half in (engine.arrange, engine.compute):
            outputs = [] if engine.idle else half()
            said = said or bool(outputs)
            with channel.together():
                for output in outputs:
                    outlet.take(output)
                # What is held goes out before a step that takes long.
                outlet.flush_due() if engine.brief(EVERY) else outlet.flush()
                crowd.tell(*engine.crowd)
        if not said:
            channel.event({"beat": True})  # a sign of life, for who listens whether this process hangs


def _take(channel: Channel, loaded: LoadedEngine, call: Call) -> None:
    try:
        match call.op:
            case "cancel":
                loaded.engine.cancel(call.body)
                channel.done(call.body)
            case "generate":
                with logs.bind(call.request_id):
                    request, priority = msgspec.convert(call.body["request"], Generation), Priority(call.body["priority"])
                    loaded.submit(call.id, request, priority, call.body.get("chat_id") or "")
            case "count":
                channel.done(call.id, len(loaded.prompter.tokens(msgspec.convert(call.body, Generation))))
            case "words":
                question = msgspec.convert(call.body, words.Question)
                channel.done(call.id, words.answer(question, loaded.model, loaded.prompter))
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
    news = output.news
    if isinstance(news, OndolError):
        channel.error(output.id, news)
    elif isinstance(news, Piece) and news.finish_reason is not None:
        channel.done(output.id, msgspec.to_builtins(news))
    else:
        channel.item(output.id, msgspec.to_builtins(news))


class _Crowd:
    """Tells the parent how many requests run and wait, first of all that there are none."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._told: tuple[int, int] | None = None

    def tell(self, running: int, waiting: int) -> None:
        if self._told != (running, waiting):
            self._told = running, waiting
            self._channel.event({"running": running, "waiting": waiting})


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
        settle()
        channel.hello(msgspec.to_builtins(loaded.info))
        serve(channel, loaded)


if __name__ == "__main__":
    main()
