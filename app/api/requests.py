"""OpenAI's wire shapes of what is asked. Unknown fields are ignored, known ones are checked. `shapes` has what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from app.api import constraints
from app.api.constraints import Effort, FormatFields
from app.api.in_tokens import MOST_CHOICES, Prompt
from app.core.errors import BadRequest
from app.core.records import Adapter, Generation, Message, Sampling

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Alternatives = Annotated[int, Meta(ge=0, le=20)]


class StreamOptions(msgspec.Struct):
    """`include_usage` adds a last chunk with the tokens; `include_events` (ours) asks for Open WebUI's events."""

    include_usage: bool = False
    include_events: bool = False


class WireMessage(msgspec.Struct):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class LoraScale(msgspec.Struct):
    """An adapter by its number, and how strongly it counts."""

    id: int
    scale: float = 1.0


class SamplingFields(FormatFields, kw_only=True):
    """What chat and plain completions share."""

    model: str = "default"
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    ignore_eos: bool = False
    logit_bias: dict[str, Bias] | list[tuple[int | str, Bias | bool]] | None = None
    lora: list[LoraScale] | None = None

    @property
    def choices(self) -> int:
        """How many answers are wanted to each prompt."""
        return self.n or 1


class ChatRequest(SamplingFields, kw_only=True):
    """POST /v1/chat/completions. `thinking_budget_tokens` is llama.cpp's."""

    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Alternatives | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    thinking_budget_tokens: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionRequest(SamplingFields, kw_only=True):
    """POST /v1/completions. `prompt`: a text, a prompt's tokens, or several of these."""

    prompt: str | list[str | int | list[int]]
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Alternatives | None = None


class InfillFile(msgspec.Struct):
    """Another file that helps to fill a gap."""

    text: str
    filename: str = "tmp"


class InfillRequest(SamplingFields, kw_only=True):
    """POST /infill. `prompt` stands between the prefix and the gap."""

    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: list[InfillFile] = msgspec.field(default_factory=list)
    prompt: str = ""
    n_predict: int | None = None


class TokenizeRequest(msgspec.Struct, kw_only=True):
    """POST /tokenize. `add_special`: with the token that the model begins with; `parse_special`: control words become control tokens."""

    content: str
    model: str = "default"
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False


class DetokenizeRequest(msgspec.Struct, kw_only=True):
    """POST /detokenize."""

    tokens: list[int]
    model: str = "default"


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    """POST /v1/embeddings. `input_type` (ours) says whether the texts are questions; some models want to know."""

    model: str = "default"
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: Literal["passage", "query"] = "passage"


class RerankDocument(msgspec.Struct):
    """A document as Cohere writes it."""

    text: str


class RerankRequest(msgspec.Struct, kw_only=True):
    """POST /v1/rerank."""

    query: str
    documents: list[str | RerankDocument]
    model: str = "default"
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool = False


class RankingOptions(msgspec.Struct, kw_only=True):
    """What a search leaves out."""

    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class StoreSearchRequest(msgspec.Struct, kw_only=True):
    """POST /v1/vector_stores/{id}/search."""

    query: str | list[str]
    max_num_results: Annotated[int, Meta(ge=1, le=50)] = 10
    filters: dict[str, Any] | None = None
    ranking_options: RankingOptions | None = None


def sampling(request: SamplingFields) -> Sampling:
    """The request's sampling over our defaults."""
    given = {name: value for name in Sampling.__struct_fields__ if (value := getattr(request, name)) is not None}
    return Sampling(**given)


def _stops(request: SamplingFields) -> tuple[str, ...]:
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return tuple(stop for stop in stops if stop)


def _message(given: WireMessage) -> Message:
    constraints.checked_calls(given.tool_calls)
    return Message(**msgspec.structs.asdict(given))


def _adapters(request: SamplingFields) -> tuple[Adapter, ...] | None:
    return None if request.lora is None else tuple(Adapter(one.id, one.scale) for one in request.lora)


def _chosen(request: SamplingFields, generation: Generation) -> list[Generation]:
    """One request for each choice. A seed is the first one's: the others have the next ones, or all would say the same."""
    seed = generation.sampling.seed
    if seed is None:
        return [generation] * request.choices
    seeds = [msgspec.structs.replace(generation.sampling, seed=seed + choice) for choice in range(request.choices)]
    return [msgspec.structs.replace(generation, sampling=one) for one in seeds]


def chat_generations(request: ChatRequest, bias: Mapping[int, float]) -> list[Generation]:
    """A chat request as the pipeline's record, once for each choice; `bias` as `in_tokens.biases` found it."""
    if request.top_logprobs is not None and not request.logprobs:
        raise BadRequest("top_logprobs needs logprobs.", hint="Send logprobs: true with it.", param="top_logprobs")
    generation = Generation(
        messages=tuple(_message(message) for message in request.messages),
        sampling=sampling(request),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stop=_stops(request),
        ignore_eos=request.ignore_eos,
        template_values=constraints.template_values(request.reasoning_effort, request.chat_template_kwargs),
        format=constraints.format_of(request),
        tools=tuple(request.tools or ()),
        tool_choice=constraints.choice_of(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls is not False,
        thinking_tokens=constraints.budget(request.thinking_budget_tokens),
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        logit_bias=dict(bias),
        adapters=_adapters(request),
    )
    return _chosen(request, generation)


def completion_generations(request: CompletionRequest, prompts: Sequence[Prompt], bias: Mapping[int, float]) -> list[Generation]:
    """A completion request's prompts, as `in_tokens.prompts` found them, each once for each choice; `bias` as `in_tokens.biases` did.

    OpenAI's default of 16 tokens would surprise more than it protects: none is set.
    """
    if request.echo and request.logprobs is not None and request.suffix:
        raise BadRequest("The chances of a prompt with a suffix are not told.", hint="Leave out echo, logprobs or suffix.", param="echo")
    whole = Generation(
        sampling=sampling(request),
        max_tokens=request.max_tokens,
        stop=_stops(request),
        ignore_eos=request.ignore_eos,
        logprobs=request.logprobs,
        logit_bias=dict(bias),
        adapters=_adapters(request),
        suffix=request.suffix or None,
        format=constraints.format_of(request),
        echo=bool(request.echo) and request.logprobs is not None,
    )
    made = [msgspec.structs.replace(whole, prompt=prompt.text, tokens=prompt.tokens) for prompt in prompts]
    return [one for prompt in made for one in _chosen(request, prompt)]


def infill_generation(request: InfillRequest, bias: Mapping[int, float]) -> Generation:
    """A gap to fill as the pipeline's record. `n_predict` -1 is llama.cpp's word for no limit."""
    longest = request.max_tokens if request.n_predict in (None, -1) else request.n_predict
    return Generation(
        prompt=request.input_prefix + request.prompt,
        suffix=request.input_suffix,
        files=tuple((file.filename, file.text) for file in request.input_extra),
        format=constraints.format_of(request),
        sampling=sampling(request),
        max_tokens=longest,
        stop=_stops(request),
        ignore_eos=request.ignore_eos,
        logit_bias=dict(bias),
        adapters=_adapters(request),
    )
