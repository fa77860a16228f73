"""How fast an endpoint is used: vlmine against a bare load generator on one server in one run; and in how much memory.

The server is a process of its own on the loopback: every answer takes 200 ms, 64 are worked at at once, so that 320 a
second is the most that anyone can reach.

    python -m benchmarks.endpoint --calls 3000 --memory 1000 50000
"""

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlmine_dagster.describing.describers.openai import OpenAIDescriberSettings
from vlmine_dagster.mining.answers import judge_description
from vlmine_dagster.resources.cache import ReplyCache
from vlmine_dagster.resources.chat import ChatModel
from vlmine_dagster.resources.describers import DescriberInput, ModelDescriber
from vlmine_dagster.resources.questions import ChatQuestion, Dialect
from vlmine_dagster.resources.replies import Asker, Spending

SLOTS, LATENCY_S = 64, 0.2
CALLS_IN_FLIGHT = 96  # half as many again wait at the server, so that a slot never waits for the client
ANSWER = "A brown dog runs over a wet meadow beside an old wooden fence."
_BODY = json.dumps(
    {
        "choices": [{"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 150, "completion_tokens": 15},
    }
).encode()
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slots: asyncio.Semaphore) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            async with slots:
                await asyncio.sleep(LATENCY_S)
            writer.write(_RESPONSE)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _serve(port: Any) -> None:
    async def run() -> None:
        slots = asyncio.Semaphore(SLOTS)
        server = await asyncio.start_server(
            lambda r, w: _exchange(r, w, slots), "127.0.0.1", 0, limit=2**22, backlog=512
        )
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run())


def picture(number: int) -> bytes:
    """Return a small JPEG, each another."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=70)
    return file.getvalue()


async def _bare(port: int, calls: int, body: bytes) -> float:
    """Return calls a second of `SLOTS` connections that do nothing but send and receive bytes."""
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def worker(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(_BODY))
        writer.close()

    started = time.monotonic()
    await asyncio.gather(*(worker(calls // SLOTS) for _ in range(SLOTS)))
    return calls // SLOTS * SLOTS / (time.monotonic() - started)


def _question(port: int) -> ChatQuestion:
    settings = OpenAIDescriberSettings(
        kind="openai", model="bench", base_url=f"http://127.0.0.1:{port}/v1", concurrency=CALLS_IN_FLIGHT
    )
    return ChatQuestion(settings, "Describe this photo.", False, None, 10**8)


def describe(port: int, calls: int) -> float:
    """Return images a second from encoded bytes to answers in the cache."""
    question = _question(port)
    with tempfile.TemporaryDirectory() as folder:
        spending = Spending(ReplyCache(Path(folder)))
        describer = ModelDescriber(Asker(ChatModel(question), "Describe this photo.", judge_description, "", spending))

        def load(names: Any) -> Iterator[DescriberInput]:
            for name in names:
                yield DescriberInput(name, _PICTURES[int(name) % len(_PICTURES)])

        started = time.monotonic()
        found = sum(1 for _ in describer.describe({str(k): str(k) for k in range(calls)}, load))
        assert found == calls
        return calls / (time.monotonic() - started)


_PICTURES = [picture(k) for k in range(64)]


def _measure_memory(port: int, calls: int, peak: Any) -> None:
    describe(port, 200)  # what any run needs: libraries, connections
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    describe(port, calls)
    peak.value = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Print both rates, their ratio, and the peaks of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[])
    chosen = parser.parse_args()
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=_serve, args=(port,), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.05)
    body = json.dumps(_question(port.value).body("Describe this photo.", _PICTURES[0], Dialect())).encode()
    describe(port.value, 500)  # imports, connections
    print(f"{os.cpu_count()} cores shared by server and client; the server allows {SLOTS / LATENCY_S:.0f} calls/s")
    print("| round | bare calls/s | vlmine images/s | ratio |\n| ---: | ---: | ---: | ---: |")
    for number in range(chosen.rounds):
        bare = asyncio.run(_bare(port.value, chosen.calls, body))
        ours = describe(port.value, chosen.calls)
        print(f"| {number + 1} | {bare:.0f} | {ours:.0f} | {ours / bare:.2f} |", flush=True)
    for calls in chosen.memory:
        peak = multiprocessing.Value("d", 0.0)
        child = multiprocessing.get_context("fork").Process(target=_measure_memory, args=(port.value, calls, peak))
        child.start()
        child.join()
        print(f"{calls:,} images: {peak.value:.0f} MB more than a run of 200", flush=True)
    server.terminate()


if __name__ == "__main__":
    main()
