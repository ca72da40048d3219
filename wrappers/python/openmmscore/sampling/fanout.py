"""Chunks of samples drawn on Dask's workers and handed out in order. Imports Dask only when called."""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Iterator
from typing import Any

import openmm

from .drawing import Chunk, Recipe


def _unpack(data: bytes) -> Recipe:
    return pickle.loads(data)


def _draw(recipe: Recipe, seed: int, first: int, count: int) -> Chunk:
    return recipe.draw(seed, first, count)


def drawOnWorkers(client: Any, recipe: Recipe, seed: int, chunks: list[tuple[int, int]]) -> Iterator[Chunk]:
    """Yield the chunks [(first, count), ...] in order.

    Only a few chunks more than there are threads are under way at any time, so neither the workers nor this
    process hold more. What a lost worker had, others do again: every chunk, and the recipe itself, are
    tasks that the scheduler can repeat, and repeating them gives the same bits.
    """
    from distributed import KilledWorker, wait

    data = pickle.dumps(recipe, protocol=5)
    # Unique: results of an earlier call, with a class that has changed since, are not taken for ours.
    name = f"openmmscore-{os.urandom(8).hex()}"
    shared = client.submit(_unpack, data, key=f"{name}-recipe")
    waiting = deque(chunks)
    futures: deque[Any] = deque()
    try:
        while waiting or futures:
            threads = sum(client.nthreads().values())
            while waiting and len(futures) < 2 * threads + 2:
                first, count = waiting.popleft()
                futures.append(client.submit(_draw, shared, seed, first, count, key=f"{name}-{first}"))
            wait([futures[0]])
            try:
                yield futures[0].result()
            except KilledWorker as error:
                raise openmm.OpenMMException(
                    "BoltzmannSampler: several workers died one after another drawing the same chunk, "
                    f"perhaps for want of memory; try a smaller chunkSize ({error!s:.120})"
                ) from None
            futures.popleft().release()
    finally:
        client.cancel([*futures, shared], force=True)
