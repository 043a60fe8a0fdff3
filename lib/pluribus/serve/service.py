"""The parts of the service put together, and the server that runs them."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from pluribus.errors import PluribusError
from pluribus.serve import routes, troubles, words
from pluribus.serve.counters import Counters
from pluribus.serve.desk import Desk
from pluribus.serve.gate import Gate, Limits
from pluribus.serve.keys import Keys
from pluribus.serve.shelf import Shelf
from pluribus.store import Store

LIMITS = Limits()
SWITCH_S = 0.0005  # a thread may keep the interpreter no longer from the one that reads requests; Python's 5 ms add up
ABOUT = """Search, similar items, comparisons, labels and completions of a shop's live release.

Every request carries a key of its shop: `Authorization: Bearer KEY`. Every answer names the release that all of it
was read from. Every failure has one shape."""


def create_app(
    store: Store,
    *,
    memory_bytes: int = 4 * 2**30,
    poll_s: float = 2.0,
    trust_s: float = 30.0,
    limits: Limits = LIMITS,
) -> FastAPI:
    """The service over a store. Nothing is opened before it is asked for.

    poll_s   how often the live release of a shop that is asked is looked at
    trust_s  how long a key's answer is trusted: a revoked key opens no longer than this
    """
    counters = Counters()
    shelf = Shelf(store, counters, memory_bytes=memory_bytes, poll_s=poll_s)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        app.state.desk = Desk(shelf, timeout_s=limits.timeout_s)
        yield
        app.state.desk.close()

    app = FastAPI(title="pluribus", version="1", description=ABOUT, lifespan=living, docs_url=None, redoc_url=None)
    app.include_router(routes.router)
    app.add_middleware(Gate, keys=Keys(store, trust_s=trust_s), limits=limits, counters=counters)

    @app.get("/healthz", response_model=words.Health)
    async def healthz() -> Any:
        """Whether the service answers, and whether all it serves is the newest. Names no shop: it asks for no key."""
        wrong = len(shelf.troubles())
        told = {"status": "degraded" if wrong else "ok", "open_shops": len(shelf.open_releases())}
        return told | {"shops_in_trouble": wrong}

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}, 401: routes.FAILURES[401]})
    async def metrics() -> Response:
        """Counters and durations for Prometheus. Wants the operator's key: `pluribus keys --operator --new`."""
        return Response(counters.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    _one_shape(app)
    return app


def _one_shape(app: FastAPI) -> None:
    """Every failure that FastAPI and Starlette would word themselves, in our words."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return troubles.of_invalid(list(error.errors()))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        told = troubles.response(error.status_code, str(error.detail))
        told.headers.update(error.headers or {})
        return told

    @app.exception_handler(PluribusError)
    async def ours(_: Request, error: PluribusError) -> Response:
        return troubles.of_error(error)


def run(store: Store, *, host: str, port: int, told: Callable[[str], None], **options: Any) -> None:
    """Serve until a signal; requests under way are finished first. `told` hears the address once it is ours."""
    import uvicorn

    from pluribus.serve.wire import bounded

    sys.setswitchinterval(SWITCH_S)
    app = create_app(store, **options)
    config = uvicorn.Config(
        app, host=host, port=port, access_log=False, server_header=False, timeout_graceful_shutdown=20,
        log_level="warning", loop="uvloop", http=bounded(), ws="none",
    )  # fmt: skip
    listening = config.bind_socket()
    listening.listen(config.backlog)  # who calls before the models are loaded waits, instead of being refused
    told("http://{}:{}".format(*listening.getsockname()[:2]))
    uvicorn.Server(config).run(sockets=[listening])
