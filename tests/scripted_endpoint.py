"""An OpenAI-compatible endpoint on the loopback whose every answer a test writes: good, late, broken or hostile."""

import asyncio
import base64
import hashlib
import json
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Call:
    """A chat completion that was asked for.

    Attributes:
        body: The JSON body.
        text: The prompt.
        image: Decoded bytes of the image, None for a question about a text.
        tries: How often this very question was asked before.
        number: How many calls came before.
    """

    body: dict[str, Any]
    text: str
    image: bytes | None
    tries: int
    number: int

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.image if self.image is not None else self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What the endpoint does with a call.

    Attributes:
        text: Content of the message.
        status: HTTP status; above 299 `text` is the error's message.
        headers: More headers.
        finish: finish_reason.
        refusal: The message's own refusal.
        raw: Body to send instead of a completion.
        tokens: (prompt, completion); None counts characters.
        fault: reset (close at once), hang (never answer), cut (close within the body).
        delay_s: Pause before answering.
        code: Error code.
    """

    text: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    finish: str = "stop"
    refusal: str | None = None
    raw: str | None = None
    tokens: tuple[int, int] | None = None
    fault: str = ""
    delay_s: float = 0.0
    code: str | None = None


Script = Callable[[Call], "Answer | str"]


class ScriptedEndpoint:
    """Serves chat completions, files and batches by a script, and remembers the calls."""

    def __init__(self, script: Script, *, has_batches: bool = True):
        self.script = script
        self._has_batches = has_batches
        self.calls: list[Call] = []
        self.models: list[str] | None = None
        self.keys: set[str] = set()
        self.in_flight = self.most_in_flight = 0
        self.batches: dict[str, dict[str, Any]] = {}
        self.polls_before_done = 1
        self.answers_lost = 0  # of jobs that were begun
        self.lists_batches = True
        self._files: dict[str, str] = {}
        self._tries: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._on_loop(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._on_loop(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split(" ", 2)
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        headers = {name.lower(): value for name, value in headers.items()}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        self.keys.add(headers.get("authorization", "").removeprefix("Bearer "))
        path = urllib.parse.urlsplit(path).path.removeprefix("/v1")
        if path != "/chat/completions":
            return await self._write(writer, *self._other(method, path, headers, content))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(writer, self._answer_to(json.loads(content)))
        finally:
            self.in_flight -= 1

    def _answer_to(self, body: dict[str, Any]) -> tuple[Call, Answer]:
        content = body["messages"][-1]["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        text = next(part["text"] for part in parts if part["type"] == "text")
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        image = base64.b64decode(urls[0].partition(",")[2]) if urls else None
        key = f"{text}{hashlib.sha256(image or b'').hexdigest()}"
        call = Call(body, text, image, self._tries[key], len(self.calls))
        self._tries[key] += 1
        self.calls.append(call)
        answer = self.script(call)
        return call, Answer(answer) if isinstance(answer, str) else answer

    async def _answer(self, writer: asyncio.StreamWriter, found: tuple[Call, Answer]) -> bool:
        call, answer = found
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.fault == "hang":
            await asyncio.sleep(3600)
        if answer.fault == "reset":
            writer.transport.abort()
            return False
        body = answer.raw if answer.raw is not None else json.dumps(completion(call, answer))
        kind = "text/html" if body.startswith("<") else "application/json"
        return await self._write(
            writer, answer.status, body, {**answer.headers, "content-type": kind}, is_cut=answer.fault == "cut"
        )

    async def _write(
        self, writer: asyncio.StreamWriter, status: int, body: str, headers: dict[str, str], *, is_cut: bool = False
    ) -> bool:
        data = body.encode()
        lines = [f"HTTP/1.1 {status} Scripted", f"content-length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (data[: len(data) // 2] if is_cut else data))
        await writer.drain()
        return not is_cut

    def _other(
        self, method: str, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, str, dict[str, str]]:
        plain = {"content-type": "application/json"}
        if path == "/models" and self.models is not None:
            return *self._list(headers.get("authorization")), plain
        match [method, *path.strip("/").split("/")] if self._has_batches else []:
            case ["POST", "files"]:
                boundary = headers["content-type"].partition("boundary=")[2].encode()
                part = next(p for p in content.split(b"--" + boundary) if b"filename=" in p)
                name = f"file-{len(self._files)}"
                self._files[name] = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n").decode()
                return 200, json.dumps(_file(name)), plain
            case ["POST", "batches"]:
                return *self._begun(json.loads(content)["input_file_id"]), plain
            case ["GET", *asked] if asked[0].startswith("batches"):
                return *self._asked(*asked), plain
            case ["GET", "files", name, "content"]:
                return 200, self._files[name], {"content-type": "application/octet-stream"}
        return 404, json.dumps({"error": {"message": f"no {path}"}}), plain

    def _list(self, key: str | None) -> tuple[int, str]:
        if key == "Bearer none":
            return 401, json.dumps({"error": {"message": "who are you?"}})
        found = [{"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in self.models or ()]
        return 200, json.dumps({"object": "list", "data": found})

    def _begun(self, file: str) -> tuple[int, str]:
        name = f"batch-{len(self.batches)}"
        self.batches[name] = {"input": file, "polls": 0}
        if self.answers_lost > 0:
            self.answers_lost -= 1
            return 503, json.dumps({"error": {"message": "the gateway timed out"}})
        return 200, json.dumps(self._batch(name))

    def _asked(self, listed: str, name: str = "") -> tuple[int, str]:
        """Return a job, or the list of all."""
        if name in self.batches:
            self.batches[name]["polls"] += 1
            return 200, json.dumps(self._batch(name))
        if name or not self.lists_batches:
            return 404, json.dumps({"error": {"message": f"no {listed} {name}"}})
        found = [self._batch(one) for one in self.batches]
        return 200, json.dumps({"object": "list", "data": found, "has_more": False})

    def _batch(self, name: str) -> dict[str, Any]:
        found = self.batches[name]
        if found["polls"] == self.polls_before_done and "output" not in found:
            found["output"] = f"out-{name}"
            lines = [json.loads(line) for line in self._files[found["input"]].splitlines()]
            self._files[f"out-{name}"] = "\n".join(json.dumps(self._line(line)) for line in lines)
        return {
            "id": name,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": found["input"],
            "completion_window": "24h",
            "created_at": 0,
            "status": "completed" if "output" in found else "in_progress",
            "output_file_id": found.get("output"),
        }

    def _line(self, line: dict[str, Any]) -> dict[str, Any]:
        call, answer = self._answer_to(line["body"])
        if answer.fault:
            return {"custom_id": line["custom_id"], "response": None, "error": {"message": answer.fault}}
        body = json.loads(answer.raw) if answer.raw is not None else completion(call, answer)
        response = {"status_code": answer.status, "body": body}
        return {"custom_id": line["custom_id"], "response": response, "error": None}


def completion(call: Call, answer: Answer) -> dict[str, Any]:
    if answer.status > 299:
        return {"error": {"message": answer.text, "type": "scripted", "code": answer.code}}
    tokens = answer.tokens or (len(call.text) // 4 + (85 if call.image else 0), len(answer.text or "") // 4)
    message = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    return {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion",
        "created": 0,
        "model": call.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }


def _file(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": 1,
        "created_at": 0,
        "filename": "v",
        "purpose": "batch",
        "status": "ok",
    }
