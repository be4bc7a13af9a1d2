"""How a model is laid out on this machine: layers on the GPU, threads, tokens of context. Pure: numbers in, numbers out."""

from __future__ import annotations

import msgspec

from models.gguf import Header

DEFAULT_CELLS = 16_384
SMALLEST_CELLS = 2_048
MEMORY_SHARE = 0.25  # of the free memory, for the KV cache; the rest is the weights', the page cache's, and everyone else's
VRAM_MARGIN = 768 * 1024 * 1024  # llama.cpp's own buffers, and the display's

PROJECTOR_BUFFERS = 256 * 1024 * 1024  # what it computes a picture in
# Cells kept for others: what passing over one costs in a layer and head, how fast weights are read, and the share of that time.
SECONDS_PER_CELL, BYTES_PER_SECOND, PASSED_OVER = 1.2e-9, 15e9, 0.015
FEWEST_KEPT = 256
LANES_SHARE, SHORTEST_LANE = 0.125, 256  # of the free memory, for rows that write in a crowd; tokens, llama.cpp's own step


class Machine(msgspec.Struct, frozen=True):
    """What there is. Memory in bytes; `usable_cores` are those that affinity and container limits leave to this process."""

    physical_cores: int
    usable_cores: int
    free_memory: int
    free_vram: int = 0


class Wishes(msgspec.Struct, frozen=True):
    """The settings that override what would be chosen: 0 for context and threads, -1 for layers mean "choose"."""

    context: int = 0
    parallel: int = 8
    threads: int = 0
    gpu_layers: int = -1


class Fit(msgspec.Struct, frozen=True):
    """`cells`: tokens that all sequences share; `context`: tokens of one request; `gpu_layers`: of the layers and the output."""

    cells: int
    context: int
    threads: int
    gpu_layers: int


def fit(header: Header, wishes: Wishes, machine: Machine) -> Fit:
    """The layout for this model on this machine."""
    cells = wishes.context or _cells(header, wishes.parallel, machine)
    return Fit(
        cells=cells,
        context=min(cells, header.context_length or cells),
        threads=wishes.threads or threads(machine.physical_cores, machine.usable_cores),
        gpu_layers=wishes.gpu_layers if wishes.gpu_layers >= 0 else _gpu_layers(header, cells, machine.free_vram),
    )


def beside(machine: Machine, projector: int) -> Machine:
    """What a model finds where a projector with a file of `projector` bytes lies beside it: on the GPU, where there is one."""
    taken = projector + PROJECTOR_BUFFERS
    if machine.free_vram:
        return msgspec.structs.replace(machine, free_vram=max(0, machine.free_vram - taken))
    return msgspec.structs.replace(machine, free_memory=max(0, machine.free_memory - taken))


def threads(physical: int, usable: int) -> int:
    """One for each physical core, never more than this process may use: a thread too many makes all the others wait for it."""
    return max(1, min(physical or usable, usable or physical))


def kept_beside(header: Header, gpu_layers: int) -> int | None:
    """Cells that may be kept for others beside requests that run; None: as many as there are.

    Each row passes over each of them in each layer and head, which on a processor takes about a nanosecond: that is to cost a small part of
    the time in which the weights are read. What has to go lies on the shelf, and is back sooner than its tokens are computed.
    """
    if gpu_layers or not (header.layers and header.heads):
        return None
    reading = header.file_size / BYTES_PER_SECOND
    return max(FEWEST_KEPT, int(PASSED_OVER * reading / (header.layers * header.heads * SECONDS_PER_CELL)))


def passing(header: Header, threads: int) -> float:
    """Seconds that it takes one row to pass over a cell of another one, in all layers and heads; 0: not known."""
    return header.layers * header.heads * SECONDS_PER_CELL / threads


def lane(header: Header, layout: Fit, parallel: int, free: int) -> int:
    """Tokens of the part of a cache that one of `parallel` rows has for itself; 0 where there is none to be had: on a GPU, or no memory.

    No more than a row's equal part of the cache that all share: who writes longer texts than that has few beside him.
    """
    if layout.gpu_layers or parallel < 2 or not passing(header, 1):
        return 0
    room = int(free * LANES_SHARE) // (parallel * header.kv_bytes_per_token) if header.kv_bytes_per_token else 0
    return min(layout.cells // parallel, room) // SHORTEST_LANE * SHORTEST_LANE


def _cells(header: Header, parallel: int, machine: Machine) -> int:
    """Enough for several chats with passages, as far as the memory goes; rounded down to llama.cpp's step of 256."""
    trained = header.context_length or DEFAULT_CELLS
    wanted = min(DEFAULT_CELLS, trained * parallel)
    free = machine.free_vram or machine.free_memory
    if header.kv_bytes_per_token:
        wanted = min(wanted, max(SMALLEST_CELLS, int(free * MEMORY_SHARE) // header.kv_bytes_per_token))
    return max(256, wanted // 256 * 256)


def _gpu_layers(header: Header, cells: int, free_vram: int) -> int:
    """All layers and the output where weights and cache fit, as many as fit otherwise; none without a GPU."""
    if free_vram <= 0 or not header.layers:
        return 0
    room = free_vram - VRAM_MARGIN
    units = header.layers + 1
    per_layer = header.file_size / units + header.kv_bytes_per_token * cells / header.layers
    return max(0, min(units, int(room / per_layer)))
