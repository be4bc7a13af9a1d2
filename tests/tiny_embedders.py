"""Small sentence-transformers models of random weights, saved as their makers save them: of the shapes that texts are prepared for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_WORDS = ("the", "quick", "brown", "fox", "query", ":", "passage", "온돌", "바닥", "##s", "##은", "word", "a", "b", "c")
_HIDDEN = 16
LONGEST = 48


def bert(folder: Path, *, query_prefix: str = "", prefix_counts: bool = True, seed: int = 0) -> Path:
    """WordPiece, padded at the right, the mean of all tokens; with `prefix_counts` False those of the prefix are left out of it."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    body = _folder(folder)
    tokenizer = _pieces()
    BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=LONGEST,
        )
    ).save_pretrained(body)
    tokenizer.save_pretrained(body)
    modules = [
        Transformer(str(body), max_seq_length=LONGEST),
        Pooling(_HIDDEN, pooling_mode="mean", include_prompt=prefix_counts),
        Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu", prompts={"query": query_prefix} if query_prefix else {}).save(str(folder))
    return folder


def causal(folder: Path, *, template: str = "", seed: int = 0) -> Path:
    """Padded at the left, the last token's vector, as of the larger models that were made of chat models; with a chat's `template`
    its own code writes each text into that."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import Qwen2Config, Qwen2Model

    torch.manual_seed(seed)
    body = _folder(folder)
    tokenizer = _bytes()
    tokenizer.chat_template = template or None
    Qwen2Model(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=32,
            max_position_embeddings=LONGEST,
        )
    ).save_pretrained(body)
    tokenizer.save_pretrained(body)
    modules = [Transformer(str(body), max_seq_length=LONGEST), Pooling(_HIDDEN, pooling_mode="lasttoken")]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    # What these write down of a tokenizer leaves its side out.
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "padding_side": "left"}))
    return folder


def _folder(folder: Path) -> Path:
    body = folder.with_name(f"{folder.name}-body")
    body.mkdir(parents=True)
    return body


def _pieces() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    vocabulary = {piece: number for number, piece in enumerate((*special, *_WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=LONGEST
    )


def _bytes() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: number for number, piece in enumerate(("<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=LONGEST
    )
