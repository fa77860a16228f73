"""The page's server: what each address answers."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from vlmine_dagster.domain.errors import ConfigError, ContractError, LakeError, PictureError, VlmineError
from vlmine_dagster.review.desk import Desk, shown_verdicts
from vlmine_dagster.review.guard import Guard
from vlmine_dagster.review.listing import Filter
from vlmine_dagster.review.rounds import finish_round, open_class_lines
from vlmine_dagster.review.summary import summarize, summary_lines

MOST_AT_ONCE = 300
"""Items in one answer."""

_DATA = Path(__file__).parent / "data"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_NEVER = {"cache-control": "no-store"}
_FOR_LONG = {"cache-control": "private, max-age=31536000, immutable"}

Answer = Callable[[Request], Any]


def review_app(desk: Desk, *, experiment: str, token: str, hosts: Collection[str], reviewer: str = "") -> ASGIApp:
    """Return the application behind the page.

    Args:
        desk: What it works on.
        experiment: The list that is shown first.
        token: First part of every path.
        hosts: Values of the Host header that are its own.
        reviewer: Who judges, unless the page says otherwise.
    """
    routes = [
        Route("/", partial(_file, name="page.html")),
        Route("/static/{name}", _static),
        Route("/pictures/{kind}/{experiment}/{digest}/{position:int}", _answering(desk, _picture)),
        Route("/api/list", _answering(desk, partial(_list, experiment=experiment, reviewer=reviewer))),
        Route("/api/view", _answering(desk, _view), methods=["POST"]),
        Route("/api/view/{experiment}/{digest}/{view}", _answering(desk, _items)),
        Route("/api/verdicts/{experiment}/{digest}", _answering(desk, _changes)),
        Route("/api/verdicts", _answering(desk, _judge), methods=["POST"]),
        Route("/api/pictures", _answering(desk, _prepare), methods=["POST"]),
        Route("/api/round", _answering(desk, _round)),
        Route("/api/round", _answering(desk, _finish), methods=["POST"]),
        Route("/api/like", _answering(desk, _like), methods=["POST"]),
        Route("/api/undo", _answering(desk, _undo), methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), token=token, hosts=hosts)


def _answering(desk: Desk, answer: Callable[[Desk, Request, Mapping[str, Any]], Any]) -> Answer:
    """Return an endpoint: reads JSON, works in a thread, turns our errors into answers."""

    async def endpoint(request: Request) -> Response:
        try:
            given = await request.json() if request.method == "POST" else {}
            if not isinstance(given, dict):
                raise ConfigError("review: send a JSON object.")
            found = await run_in_threadpool(answer, desk, request, given)
        except ContractError as error:
            return JSONResponse({"problem": str(error)}, status_code=409, headers=_NEVER)
        except PictureError as error:
            return JSONResponse({"problem": str(error)}, status_code=404, headers=_NEVER)
        except LakeError as error:  # the page keeps what it sent and tries again
            return JSONResponse({"problem": str(error)}, status_code=503, headers=_NEVER)
        except (VlmineError, ValueError, TypeError) as error:
            return JSONResponse({"problem": str(error)}, status_code=400, headers=_NEVER)
        return found if isinstance(found, Response) else JSONResponse(found, headers=_NEVER)

    return endpoint


async def _file(_request: Request, *, name: str) -> Response:
    return FileResponse(_DATA / name, media_type=_KINDS[Path(name).suffix], headers={"cache-control": "no-cache"})


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in {file.name for file in _DATA.iterdir()}:  # never a path
        return PlainTextResponse("There is no such file.", status_code=404)
    return await _file(request, name=name)


def _listing(desk: Desk, given: Mapping[str, Any]) -> Any:
    return desk.listing(str(given.get("experiment", "")), str(given.get("list") or given.get("digest") or ""))


def _list(desk: Desk, request: Request, _given: Mapping[str, Any], *, experiment: str, reviewer: str) -> Any:
    asked = request.query_params.get("experiment") or experiment
    return {**desk.facts(asked), "reviewer": reviewer, "newest": desk.log.last_number()}


def _view(desk: Desk, _request: Request, given: Mapping[str, Any]) -> Any:
    listing = _listing(desk, given)
    state, reviewer = str(given.get("state") or ""), str(given.get("reviewer") or "")
    view = desk.view(listing, _filter(given), state=state, reviewer=reviewer)
    return {"view": view.name, "total": len(view.positions)}


def _filter(given: Mapping[str, Any]) -> Filter:
    def number(name: str) -> float | None:
        value = given.get(name)
        try:
            return None if value in (None, "") else float(str(value))
        except ValueError:
            raise ConfigError(f"review: filter {name}: expected a number, got {value!r}.") from None

    front = str(given.get("front") or "0")
    if not front.isdecimal():
        raise ConfigError(f"review: filter front: expected a whole number from 1, got {front!r}.")
    return Filter(
        text=str(given.get("text") or "").strip()[:200],
        keyword=str(given.get("keyword") or "").strip(),
        class_name=str(given.get("class_name") or "").strip(),
        front=int(front),
        slice_name=str(given.get("slice_name") or ""),
        signal=str(given.get("signal") or ""),
        low=number("low"),
        high=number("high"),
        moment=str(given.get("moment") or ""),
        is_selected=bool(given.get("is_selected")),
        sort=str(given.get("sort") or "rank"),
        is_descending=bool(given.get("is_descending")),
        lane=str(given.get("lane") or "all"),
    )


def _items(desk: Desk, request: Request, _given: Mapping[str, Any]) -> Any:
    listing = _listing(desk, request.path_params)
    view = listing.seen(request.path_params["view"])
    if view is None:
        raise ContractError("review: this view has expired. Load it again.")
    start = max(0, int(request.query_params.get("start", "0")))
    count = min(MOST_AT_ONCE, max(0, int(request.query_params.get("count", "100"))))
    return {"start": start, "items": desk.items(listing, view, start, count)}


def _changes(desk: Desk, request: Request, _given: Mapping[str, Any]) -> Any:
    """Return the verdicts of the positions that are asked for, and the newest number of the log."""
    listing = _listing(desk, request.path_params)
    newest = desk.log.last_number()
    if newest == int(request.query_params.get("since", "-1")):
        return {"newest": newest}
    places = listing.places
    verdicts = {places[name]: shown_verdicts(found) for name, found in desk.by_item().items() if name in places}
    return {"newest": newest, "verdicts": verdicts}


def _judge(desk: Desk, _request: Request, given: Mapping[str, Any]) -> Any:
    number, image_id = desk.judge(given)
    return {"number": number, "verdicts": shown_verdicts(desk.by_item().get(image_id, []))}


def _like(desk: Desk, _request: Request, given: Mapping[str, Any]) -> Any:
    """Mine a list of items that are like one; return the name of its experiment."""
    listing = _listing(desk, given)
    return {"experiment": desk.more_like(listing, int(given.get("position", -1)))}


def _undo(desk: Desk, _request: Request, given: Mapping[str, Any]) -> Any:
    image_id = desk.undo(given)
    return {"verdicts": shown_verdicts(desk.by_item().get(image_id, []))}


def _round(desk: Desk, _request: Request, _given: Mapping[str, Any]) -> Any:
    """Return what the open round has come to, a line each."""
    judgements = desk.log.standing(rounds="open")
    return {"lines": [*summary_lines(summarize(desk.bench, judgements)), *open_class_lines(desk.bench, judgements)]}


def _finish(desk: Desk, _request: Request, _given: Mapping[str, Any]) -> Any:
    done = finish_round(desk.bench)
    return {"number": done.number, "labels": len(done.labels)}


def _prepare(desk: Desk, _request: Request, given: Mapping[str, Any]) -> Any:
    positions = [int(position) for position in list(given.get("positions") or [])[:MOST_AT_ONCE]]
    return {"made": desk.prepare(_listing(desk, given), positions)}


def _picture(desk: Desk, request: Request, _given: Mapping[str, Any]) -> Response:
    asked = request.path_params
    file = desk.picture(_listing(desk, asked), asked["position"], asked["kind"])
    return FileResponse(file, media_type="image/jpeg", headers=_FOR_LONG)
