"""Messages become a prompt, by the model's own chat template (Jinja, in a sandbox), and a prompt becomes tokens.

Control words of the model ("<|im_end|>") that stand in a message's text stay text: they can't end the user's turn or begin
another one. They are marked before the template runs, with two code points that no text may hold, and what lies between
the marks is tokenised as plain text; everything else, the template's own control words among it, as the model was trained.

A model without a template gets a plain one:

    System: ...
    User: ...
    Assistant:

and stops before it writes the next "User:" itself.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple, NoReturn, Protocol

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.core.errors import BadRequest
from app.core.records import Generation, Message
from models.engine import reasoning
from models.engine.bounds import Bounds
from models.engine.images import Picture, blind, is_picture, pictures
from models.engine.infill import InfillTokens, infill
from models.engine.sight import Sight, Span
from models.engine.tools.families import Learned, learn
from models.engine.tools.history import written

PLAIN = "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
PLAIN_STOP = ("\nUser:", "\nSystem:")
MOST_SECONDS = 5.0  # a long chat takes some milliseconds
MOST_MEMORY = 512 << 20  # bytes
_PROBE = "Which word is this?"
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_PICTURE = "\ufdd2"  # where one stands; no text may hold this either


class Vocabulary(Protocol):
    """What is asked of the model here."""

    bos: int | None
    bos_text: str
    eos_text: str
    control_words: tuple[str, ...]
    infill_tokens: InfillTokens | None

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens without any that the model adds of its own accord; `special`: control words become control tokens."""
        ...


class _Sandbox(ImmutableSandboxedEnvironment):
    """One where no power is taken: a number with a billion digits is made in one piece, which nothing could end."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002  # Jinja's own signature
        raise jinja2.TemplateError(f"{operator} is not allowed here")


class ChatTemplate:
    """A compiled template. BadRequest where `source` is no template at all.

    It may take so long, and so much memory, as `bounds` says: it came with the model, from a stranger.
    """

    def __init__(
        self,
        source: str,
        *,
        bos: str = "",
        eos: str = "",
        now: Callable[[], datetime.datetime] = datetime.datetime.now,
        bounds: Bounds | None = None,
    ) -> None:
        self._bounds = bounds or Bounds(MOST_SECONDS, MOST_MEMORY)
        environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = _to_json
        environment.globals.update(raise_exception=_raise, strftime_now=lambda form: now().strftime(form))
        self._values = {"bos_token": bos, "eos_token": eos}
        self._source = source
        self.stop = () if source else PLAIN_STOP
        try:
            self._template = self._bounds.run(lambda: environment.from_string(source or PLAIN))
        except (jinja2.TemplateError, MemoryError, TimeoutError) as error:
            raise BadRequest(f"The model's chat template can't be read: {error}", code="bad_chat_template") from None

    @cached_property
    def learned(self) -> Learned:
        """How its model writes tool calls, and how it takes tools and calls."""

        def tried(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> str | None:
            try:
                return self._run({"messages": messages, **({"tools": tools} if tools else {})})
            except BadRequest:
                return None

        return learn(self._source, tried)

    def render(
        self,
        messages: Sequence[Message],
        values: Mapping[str, Any],
        mark: Callable[[str], str] = str,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """The prompt; `mark` is applied to every text that came from outside. BadRequest where the template refuses it."""
        plain: Sequence[Mapping[str, Any]] = [_plain(message) for message in messages]
        offered = {"tools": list(tools)} if tools else {}
        if tools or any(message.tool_calls or message.role == "tool" for message in messages):
            plain = written(plain, tools, self.learned.habits)
            offered = offered if self.learned.habits.tools else {}
        return self._run(_marked({**values, **offered, "messages": plain}, mark))

    @cached_property
    def _typed(self) -> bool:
        """Whether it takes a message's content as a list of parts alone: given a text, it would leave it out."""
        said = [_said([{"type": "text", "text": _PROBE}] if typed else _PROBE) for typed in (False, True)]
        texts = []
        for messages in said:
            try:
                texts.append(self._rendered({"messages": messages}))
            except BadRequest:
                texts.append("")
        return _PROBE not in texts[0] and _PROBE in texts[1]

    def _run(self, given: Mapping[str, Any]) -> str:
        if self._typed:
            given = {**given, "messages": [{**one, "content": _part(one.get("content"))} for one in given["messages"]]}
        return self._rendered(given)

    def _rendered(self, given: Mapping[str, Any]) -> str:
        try:
            return self._bounds.run(lambda: self._template.render({**self._values, "add_generation_prompt": True, **given}))
        # A template is a stranger's program: whatever it raises concerns these messages alone.
        except Exception as error:  # noqa: BLE001
            raise BadRequest(f"The model's chat template does not take these messages: {error}", param="messages") from None


class Prompt(NamedTuple):
    """A prompt's tokens. `opened` is the tag of reasoning that its end leaves open ("<think>"), empty for none.

    `spans` are the parts of pictures among the tokens.
    """

    tokens: list[int]
    opened: str = ""
    spans: tuple[Span, ...] = ()


class Prompter:
    """Requests become tokens of one model. `sight` tells the tokens of a picture; without it the model is blind, for the reason `why`."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate, *, sight: Callable[[Picture], Sight] | None = None, why: str = ""
    ) -> None:
        self._vocabulary, self.template, self._sight, self._why = vocabulary, template, sight, why
        words = sorted(vocabulary.control_words, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, words))) if words else None

    def prompt(self, request: Generation) -> Prompt:
        """What the model is given: messages through the template, or the raw prompt with its control words as they stand."""
        opened, spans = "", list[Span]()
        if request.tokens:
            return Prompt(list(request.tokens), opened, ())
        if request.prompt is not None:
            tokens = self._raw(request, request.prompt)
        else:
            if not request.messages:
                raise BadRequest("There are no messages.", hint="Send at least one message, or a prompt.", param="messages")
            text = self.template.render(request.messages, request.template_values, self._mark, _offered(request))
            opened = reasoning.opened(text)
            tokens, spans = self._seen(text, self._pictures(request))
        bos = self._vocabulary.bos
        if bos is not None and tokens[:1] != [bos]:
            tokens.insert(0, bos)
            spans = [span._replace(start=span.start + 1) for span in spans]
        if not tokens:
            raise BadRequest("The prompt is empty.", hint="Send some text.", param="prompt")
        if tokens[-1] < 0:
            raise BadRequest("The prompt ends with a picture.", hint="Send some text after it.", param="messages")
        return Prompt(tokens, opened, tuple(spans))

    def _pictures(self, request: Generation) -> tuple[Picture, ...]:
        found = pictures(request.messages)
        if found and self._sight is None:
            raise blind(self._why)
        return found

    def _seen(self, text: str, found: Sequence[Picture]) -> tuple[list[int], list[Span]]:
        """The text's tokens, with those of the pictures where they stand."""
        if text.count(_PICTURE) != len(found):
            raise BadRequest(
                "The model's chat template takes no picture where one stands.", hint="Send it in a user's message.", param="messages"
            )
        coming, tokens, spans = iter(found), list[int](), list[Span]()
        for part, special in _parts(text):
            for number, piece in enumerate(part.split(_PICTURE)):
                if number and self._sight is not None:
                    sight = self._sight(next(coming))
                    spans += [span._replace(start=span.start + len(tokens)) for span in sight.spans]
                    tokens += sight.tokens
                tokens += self._vocabulary.tokenize(piece, special=special) if piece else []
        return tokens, spans

    def rendered(self, request: Generation) -> str:
        """The prompt that the messages become, as text; pictures as llama.cpp marks them."""
        text = self.template.render(request.messages, request.template_values, tools=_offered(request))
        return text.replace(_PICTURE, "<__media__>")

    def _raw(self, request: Generation, prompt: str) -> list[int]:
        if request.suffix is None:
            return self._vocabulary.tokenize(prompt, special=True)
        plain = partial(self._vocabulary.tokenize, special=False)
        return infill(self._vocabulary.infill_tokens, prompt, request.suffix, request.files, plain)

    def tokens(self, request: Generation) -> list[int]:
        """The prompt's tokens alone."""
        return self.prompt(request).tokens

    def _mark(self, text: str) -> str:
        text = text.replace(_OPEN, "").replace(_CLOSE, "")
        return self._control.sub(lambda found: f"{_OPEN}{found[0]}{_CLOSE}", text) if self._control else text


def _offered(request: Generation) -> tuple[dict[str, Any], ...]:
    return () if request.tool_choice == "none" else request.tools


def _parts(text: str) -> list[tuple[str, bool]]:
    """The text cut at the marks: (part, whether its control words are the template's own)."""
    pieces = re.split(f"[{_OPEN}{_CLOSE}]", text)
    return [(piece, index % 2 == 0) for index, piece in enumerate(pieces) if piece]


def _plain(message: Message) -> dict[str, Any]:
    """A message as templates expect it: content is one text, and absent fields are absent."""
    plain = _marked(msgspec.to_builtins(message), lambda text: text.replace(_PICTURE, ""))
    return {**plain, "role": message.role, "content": content_text(plain.get("content"))}


def _said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def _part(content: Any) -> Any:
    """A text as a list of one part."""
    return [{"type": "text", "text": content or ""}] if content is None or isinstance(content, str) else content


def _marked(value: Any, mark: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mark(value)
    if isinstance(value, Mapping):
        return {key: _marked(one, mark) for key, one in value.items()}
    return [_marked(one, mark) for one in value] if isinstance(value, list) else value


def content_text(content: str | Sequence[Mapping[str, Any]] | None) -> str:
    """The text of a message's content; text parts are joined, pictures are marked. BadRequest for parts that are neither."""
    if content is None or isinstance(content, str):
        return content or ""
    text, texts = "", 0
    for part in content:
        if is_picture(part):
            text += _PICTURE
            continue
        if part.get("type") == "text" and not isinstance(part.get("text"), str):
            raise BadRequest("A content part of type text has no text.", hint='Send {"type": "text", "text": "..."}.', param="messages")
        if part.get("type") != "text":
            raise BadRequest(
                f"This model takes text, not a content part of type {part.get('type')!r}.",
                hint="Send parts of type text, and image_url where the model sees.",
                param="messages",
            )
        text += ("\n" if texts and text[-1:] != _PICTURE else "") + part["text"]
        texts += 1
    return text


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
