"""Serve the page on this computer: Python answers its calls, for models that cannot run in a page.

Requests are answered if they name this computer (Host), come from the page itself (Origin) and know the token in the
path. There are two routes, the page and its calls; no path leads to a file.
"""

import asyncio
import math
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from torch import Tensor
from typing_extensions import TypeAliasType

from vaelab.explorer.connections import Address, connection_type
from vaelab.explorer.contents import Progress, functions_for
from vaelab.explorer.functions import Draw, Function, GivenNoise, Tensors, called, drawn, function_of
from vaelab.explorer.page import opened_runs, page, with_images
from vaelab.models import VAE
from vaelab.runs.directory import Run
from vaelab.system.errors import SpecError, in_one_line

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

IDLE_MINUTES = 30
MOST_REQUESTS = 256  # at the same time; more are answered with 503
MOST_STRANGERS = 128  # connections that have not sent the token
MOST_WAITING = 64_000_000  # bytes of all calls that wait
LONGEST_NUMBER = 32  # bytes in JSON
PIECE = 65_536  # bytes of the page that are sent at once
BODY_SECONDS = 10  # in which a call must have arrived
HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")  # any port: `ssh -L` gives it another one
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
Numbers = TypeAliasType("Numbers", Annotated[list[float], FailFast()])  # one error, not one for each number


class Call(BaseModel):
    """A call of the page: see web/src/engine.ts."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    model: int = Field(ge=0)
    name: str
    inputs: dict[str, Numbers]
    noise: Literal["zero", "draw"] | list[Numbers]
    wanted: list[str] = Field(max_length=10)
    seed: int = Field(default=0, ge=-(2**53), le=2**53)


class Mistake(Exception):
    """A call that the models cannot answer: an HTTP status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Models:
    """Answers calls. The functions are those of the page, run by torch without tracing."""

    def __init__(self, models: Sequence[VAE]) -> None:
        self.models = list(models)
        self.functions = [{name: function_of(model, name) for name in functions_for(model)} for model in models]
        largest = max(_count(function) for functions in self.functions for function in functions.values())
        self.most_bytes = 10_000 + LONGEST_NUMBER * largest  # of a call

    def answer(self, body: bytes) -> bytes:
        """Answer a call in JSON with the numbers of each wanted output, one after the other.

        Raises:
            Mistake: the call is malformed, or the model fails.
        """
        try:
            call = Call.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise Mistake(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if call.model >= len(self.models) or call.name not in self.functions[call.model]:
            raise Mistake(400, "no such model or function")
        model, function = self.models[call.model], self.functions[call.model][call.name]
        inputs, noise = _inputs(model, function, call), _noise(function, call)
        try:
            torch.manual_seed(call.seed)
            with torch.no_grad(), GivenNoise(noise):
                found = called(model, call.name, inputs)
        except Exception as error:  # of any kind: the parts may be the user's own
            raise Mistake(500, in_one_line(error)) from error
        if unknown := [name for name in call.wanted if name not in found]:
            raise Mistake(400, f"{call.name} has no output {unknown[0]!r}")
        return b"".join(_bytes(found[name]) for name in call.wanted)


def _count(function: Function) -> int:
    """How many numbers a call of a function can have."""
    inputs = sum(tensor.numel() for tensor in function.inputs.values())
    return inputs + sum(math.prod(draw.shape) for draw in function.draws)


def _inputs(model: VAE, function: Function, call: Call) -> Tensors:
    if call.inputs.keys() != function.inputs.keys():
        raise Mistake(400, f"{call.name} takes {', '.join(function.inputs) or 'no input'}")
    found = {
        name: _tensor(name, call.inputs[name], tuple(example.shape), example.dtype)
        for name, example in function.inputs.items()
    }
    if model.labels is not None and "label" in found and call.inputs["label"][0] not in model.labels.classes.tolist():
        raise Mistake(400, "no such label")
    return found


def _noise(function: Function, call: Call) -> Callable[[Draw], Tensor]:
    """As in web/src/worker.ts; but a part may ask for more draws than its example did."""
    if call.noise == "draw":
        return drawn
    if call.noise == "zero":
        return lambda draw: torch.full(draw.shape, 0.0 if draw.kind == "normal" else 0.5)
    if len(call.noise) != len(function.draws):
        raise Mistake(400, f"{call.name} takes {len(function.draws)} draws of noise")
    given = iter([_tensor("noise", of, draw.shape) for of, draw in zip(call.noise, function.draws, strict=True)])
    return lambda draw: next(given)


def _tensor(name: str, numbers: list[float], shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    if len(numbers) != math.prod(shape):
        raise Mistake(400, f"{name}: {len(numbers)} numbers, expected {math.prod(shape)}")
    found = torch.tensor(numbers, dtype=torch.float64).to(dtype).reshape(shape)
    if not found.isfinite().all():
        raise Mistake(400, f"{name}: a number is too large")
    return found


def _bytes(tensor: Tensor) -> bytes:
    array = (tensor.to(torch.int32) if tensor.dtype == torch.int64 else tensor).numpy()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


class Service:
    """The page and its calls over HTTP.

    Arguments:
        html: the page.
        models: what its calls are answered from, one at a time.
    """

    def __init__(self, html: str, models: Models) -> None:
        self.html, self.models = html.encode(), models
        self.token = secrets.token_urlsafe()  # the secret of the address
        self.stopping: Callable[[], bool] = lambda: False  # whether calls that wait are refused
        self.known = set[Address]()  # clients that sent the token and are connected
        self.thread = ThreadPoolExecutor(1, "models")
        self.waiting = 0  # bytes
        self.running, self.last = 0, time.monotonic()  # calls, and when the last request came or was answered

    @property
    def idle_seconds(self) -> float:
        return 0.0 if self.running else time.monotonic() - self.last

    def app(self) -> "Starlette":
        from starlette.applications import Starlette
        from starlette.responses import StreamingResponse
        from starlette.routing import Route

        async def pieces() -> AsyncIterator[bytes]:  # a client that reads slowly holds one of them, not the page
            for start in range(0, len(self.html), PIECE):
                yield self.html[start : start + PIECE]

        async def shown(request: Any) -> Any:
            headers = HEADERS | {"Content-Length": str(len(self.html))}
            return StreamingResponse(pieces(), headers=headers, media_type="text/html; charset=utf-8")

        routes = [Route(f"/{self.token}/", shown), Route(f"/{self.token}/call", self._call, methods=["POST"])]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        app.add_middleware(self._guarded)
        return app

    def _guarded(self, app: "ASGIApp") -> "ASGIApp":
        """`app` for requests that come from the page, or from whoever opens it."""
        from starlette.datastructures import Headers
        from starlette.responses import PlainTextResponse

        async def guarded(scope: "Scope", receive: "Receive", send: "Send") -> None:
            headers = Headers(scope=scope)
            host = headers.get("host", "")
            first = scope["path"].partition("/")[2].partition("/")[0]
            if not HOST.fullmatch(host) or any(of != f"http://{host}" for of in headers.getlist("origin")):
                await PlainTextResponse("Forbidden", 403)(scope, receive, send)
            elif not secrets.compare_digest(first.encode(), self.token.encode()):
                await PlainTextResponse("Not Found", 404)(scope, receive, send)
            else:
                self.last = time.monotonic()
                if scope["client"] is not None:
                    self.known.add(scope["client"])
                await app(scope, receive, send)

        return guarded

    async def _call(self, request: Any) -> Any:
        from starlette.requests import ClientDisconnect
        from starlette.responses import PlainTextResponse, Response

        try:
            return Response(await self._answer(request), media_type="application/octet-stream", headers=HEADERS)
        except Mistake as mistake:
            return PlainTextResponse(mistake.why, mistake.status, HEADERS)
        except TimeoutError:
            return PlainTextResponse(f"the call took more than {BODY_SECONDS} seconds to arrive", 408, HEADERS)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _answer(self, request: Any) -> bytes:
        length = request.headers.get("content-length")
        if length is None:
            raise Mistake(411, "a call says its length")
        size = int(length)  # h11 has checked that it is one
        if size > self.models.most_bytes:
            raise Mistake(413, f"a call has at most {self.models.most_bytes:,} bytes")
        if self.waiting + size > max(MOST_WAITING, self.models.most_bytes):
            raise Mistake(503, "too many calls wait; ask again later")
        self.waiting += size
        self.running += 1
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.body()
            return await asyncio.get_running_loop().run_in_executor(self.thread, self._one, body)
        finally:
            self.waiting -= size
            self.running -= 1
            self.last = time.monotonic()

    def _one(self, body: bytes) -> bytes:
        if self.stopping():
            raise Mistake(503, "the program is stopping")
        return self.models.answer(body)


def service_of(
    runs: Sequence[Run | Path | str],
    root: str | None = None,
    progress: Progress = lambda share: None,
    say: Callable[[str], None] = lambda line: None,
) -> Service:
    """Return what `serve` serves. Arguments as those of `explore`.

    Raises:
        SpecError: there are too many runs, or starlette or uvicorn is not installed.
        RunError: a run is not finished.
    """
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        found = f"no package {', '.join(missing)}, which --serve needs"
        raise SpecError(found=found, expected="these packages", do="run `pip install 'vaelab[serve]'`")
    opened = opened_runs(runs)
    html = page(with_images(opened, root, say), progress, served=True)
    return Service(html, Models([run.served for run in opened]))


def serve(service: Service, ready: Callable[[str], None], idle_minutes: float = IDLE_MINUTES) -> str:
    """Serve on a free port of 127.0.0.1 until Ctrl-C, or until no request came for a while; return why it ended.

    Arguments:
        ready: called with the address when the page can be opened.
    """
    import uvicorn

    config = uvicorn.Config(
        service.app(),
        http=connection_type(service.known, MOST_STRANGERS),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=BODY_SECONDS,
    )
    server = uvicorn.Server(config)
    service.stopping = lambda: server.should_exit
    with socket.create_server(("127.0.0.1", 0)) as listening, service.thread:
        try:
            ready(f"http://127.0.0.1:{listening.getsockname()[1]}/{service.token}/")
            idle = asyncio.run(_until_idle(server, listening, service, 60 * idle_minutes))
        except KeyboardInterrupt:
            idle = False
    return f"stopped: no request for {idle_minutes:g} minutes" if idle else "stopped"


async def _until_idle(server: Any, listening: socket.socket, service: Service, seconds: float) -> bool:
    """Serve until it is stopped or idle for `seconds`; whether it was idle.

    uvicorn raises Ctrl-C again when it has stopped, but a job in the background of a script ignores that.
    """
    service.last = time.monotonic()
    task, idle = asyncio.create_task(server.serve([listening])), False
    while not task.done():
        await asyncio.wait([task], timeout=min(1.0, seconds))
        if not server.should_exit and service.idle_seconds > seconds:
            idle = server.should_exit = True
    await task
    return idle
