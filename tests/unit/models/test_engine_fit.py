from __future__ import annotations

from models.engine.fit import DEFAULT_CELLS, VRAM_MARGIN, Machine, Wishes, fit, threads
from models.gguf import Header

GIB = 1024**3


def header(*, layers: int = 32, size: int = 4 * GIB, kv: int = 131_072, context: int = 32_768) -> Header:
    return Header("llama", "m", context, 8_000_000_000, "Q4_K_M", size, "", layers, 4096, 32, kv)


def machine(*, memory: int = 32 * GIB, vram: int = 0) -> Machine:
    return Machine(8, 16, memory, vram)


def test_without_a_gpu_no_layer_leaves_the_processor() -> None:
    assert fit(header(), Wishes(), machine()).gpu_layers == 0


def test_all_layers_and_the_output_go_to_a_gpu_that_holds_weights_and_cache() -> None:
    assert fit(header(), Wishes(context=8192), machine(vram=24 * GIB)).gpu_layers == 33


def test_a_small_gpu_takes_as_many_layers_as_fit() -> None:
    some = fit(header(), Wishes(context=8192), machine(vram=3 * GIB)).gpu_layers
    assert 0 < some < 33
    per_layer = 4 * GIB / 33 + 131_072 * 8192 / 32
    assert some * per_layer <= 3 * GIB - VRAM_MARGIN < (some + 1) * per_layer


def test_a_gpu_smaller_than_the_margin_gets_nothing() -> None:
    assert fit(header(), Wishes(), machine(vram=VRAM_MARGIN // 2)).gpu_layers == 0


def test_the_settings_override_what_would_be_chosen() -> None:
    chosen = fit(header(), Wishes(context=4096, threads=3, gpu_layers=5), machine())
    assert (chosen.cells, chosen.context, chosen.threads, chosen.gpu_layers) == (4096, 4096, 3, 5)


def test_one_request_never_gets_more_context_than_the_model_was_trained_for() -> None:
    chosen = fit(header(context=2048), Wishes(parallel=8), machine())
    assert (chosen.cells, chosen.context) == (DEFAULT_CELLS, 2048)


def test_the_cache_takes_a_quarter_of_the_free_memory_at_most() -> None:
    chosen = fit(header(), Wishes(), machine(memory=4 * GIB))
    assert chosen.cells == GIB // 131_072 // 256 * 256
    assert fit(header(), Wishes(), machine(memory=1)).cells == 2048


def test_a_file_that_is_silent_about_its_shape_still_gets_a_layout() -> None:
    chosen = fit(header(layers=0, kv=0, context=0), Wishes(), machine(vram=24 * GIB))
    assert (chosen.cells, chosen.context, chosen.gpu_layers) == (DEFAULT_CELLS, DEFAULT_CELLS, 0)


def test_threads_are_physical_cores_and_never_more_than_the_process_may_use() -> None:
    assert threads(8, 16) == 8
    assert threads(8, 2) == 2
    assert threads(0, 4) == 4
    assert threads(0, 0) == 1
