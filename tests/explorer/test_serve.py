"""The page that Python serves: who is answered, with what numbers, and how much is held."""

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread

import numpy as np
import pytest
import torch
import uvicorn

from tests.explorer.test_programs import CASES, MNIST, model_of
from tests.told import told
from vaelab.explorer import contents as explorer_contents
from vaelab.explorer import functions
from vaelab.explorer import serve as serving
from vaelab.explorer.contents import contents_of, ports_of
from vaelab.explorer.functions import FUNCTIONS, drawn, function_of
from vaelab.explorer.lower import lowered
from vaelab.explorer.serve import Mistake, Models, Service, serve, service_of
from vaelab.models import VAE
from vaelab.runs.directory import Run
from vaelab.runs.presets import PRESETS
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError

DECODE = {"model": 0, "name": "decode", "inputs": {"z": [0.5, -1]}, "noise": "zero", "wanted": ["mean"]}
BOUND = {"name": "bound", "inputs": {"image": [0.5] * 64}, "wanted": ["z", "rate", "distortion", "mean"]}


@dataclass
class Served:
    service: Service
    server: uvicorn.Server
    address: str

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.address)[0])

    @property
    def path(self) -> str:
        return f"/{self.service.token}/"

    @property
    def model(self) -> VAE:
        return self.service.models.models[0]

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def call(self, call: dict | bytes) -> tuple[int, bytes]:
        return self.ask("POST", f"{self.path}call", call if isinstance(call, bytes) else json.dumps(call).encode())


@contextmanager
def started(service: Service) -> Iterator[Served]:
    """The service, running in a thread."""
    servers, addresses = list[uvicorn.Server](), Queue[str]()

    class Kept(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            servers.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        thread = Thread(target=serve, args=(service, addresses.put))
        thread.start()
        address = addresses.get(timeout=60)
    try:
        yield Served(service, servers[0], address)
    finally:
        servers[0].should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def served(done: Run) -> Iterator[Served]:
    before = contents(done)
    with started(service_of([done])) as found:
        yield found
    assert contents(done) == before  # nothing was written


def contents(run: Run) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(run.path)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in run.path.rglob("*")
        if path.is_file()
    }


def numbers(answer: tuple[int, bytes]) -> np.ndarray:
    assert answer[0] == 200, answer
    return np.frombuffer(answer[1], "<f4")


def torch_numbers(model: VAE, name: str, inputs: dict[str, list[float]], noise: list, wanted: list[str]) -> np.ndarray:
    function = function_of(model, name)
    given = [torch.tensor(inputs[key]).reshape(example.shape) for key, example in function.inputs.items()]
    with torch.no_grad():
        found = function.module(*given, *noise)
    return torch.cat([found[key].flatten() for key in wanted]).numpy()


# Who is answered


def test_the_page_is_shown_to_who_knows_the_token(served: Served) -> None:
    status, html = served.ask("GET", served.path)
    assert status == 200
    assert b"connect-src 'self'" in html
    assert '"served":true' in html.decode()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{40,}/", served.address)


@pytest.mark.parametrize(
    "path",
    ["/", "//", "/wrong/", "/TOKEN", "/TOKEN1/", "/TOKE/", "/TOKEN//", "/TOKEN/spec.json", "/TOKEN/../TOKEN/", "/call",
     "/TOKEN/../../etc/passwd", "/TOKEN/%2e%2e/spec.json", "/TOKEN/call/", "/TOKEN/contents", "/%00", "/TOKEN/\\..\\x",
     "*", "http://evil.example/x"],
)  # fmt: skip
def test_no_other_path_leads_anywhere(served: Served, path: str) -> None:
    token = served.service.token
    path = path.replace("TOKEN", token).replace("TOKE", token[:-1])
    assert served.ask("GET", path)[0] in (400, 403, 404)
    assert served.ask("POST", path, b"{}")[0] in (400, 403, 404)


def test_each_route_has_one_method(served: Served) -> None:
    assert served.ask("GET", f"{served.path}call")[0] == 405
    assert served.ask("POST", served.path, b"{}")[0] == 405


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:PORT", "127.0.0.1.evil.example:PORT", "localhost.evil.example", "", "0.0.0.0",
        "localhost:80@evil.example", "127.0.0.1:PORT@evil.example", "localhost@evil", "user@localhost", "localhost:",
        "localhost:x", "localhost:PORT:80", "localhost:123456", "localhost:PORT.evil.example", "localhost/",
        "localhost #", "[127.0.0.1]",
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    headers = {"Host": host.replace("PORT", str(served.port))}
    assert served.ask("GET", served.path, headers=headers)[0] == 403
    assert served.ask("POST", f"{served.path}call", json.dumps(DECODE).encode(), headers)[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://127.0.0.1", "http://localhost:PORT", ""]
)
def test_a_foreign_origin_is_refused(served: Served, origin: str) -> None:
    headers = {"Origin": origin.replace("PORT", str(served.port))}
    assert served.ask("POST", f"{served.path}call", json.dumps(DECODE).encode(), headers)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "localhost:PORT", "localhost:8000"])
def test_the_page_itself_is_answered(served: Served, host: str) -> None:
    host = host.replace("PORT", str(served.port))
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert served.ask("POST", f"{served.path}call", json.dumps(DECODE).encode(), headers)[0] == 200


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is loopback on Linux only")
def test_it_listens_on_one_address(served: Served) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", served.port), 10)


# The numbers


def test_the_numbers_are_those_of_the_model(served: Served) -> None:
    model = served.model
    zero = [torch.full(draw.shape, 0.5 * (draw.kind == "uniform")) for draw in function_of(model, "decode").draws]
    wanted = torch_numbers(model, "decode", DECODE["inputs"], zero, ["mean"])
    np.testing.assert_array_equal(numbers(served.call(DECODE)), wanted)
    np.testing.assert_array_equal(wanted, model.likelihood(torch.tensor([[0.5, -1.0]])).mean.detach().flatten())
    for noise, e in (("zero", 0.0), ([[0.7, 0.7]], 0.7)):
        wanted = torch_numbers(model, "bound", BOUND["inputs"], [torch.full((1, 2), e)], BOUND["wanted"])
        np.testing.assert_array_equal(numbers(served.call(DECODE | BOUND | {"noise": noise})), wanted)


def test_a_seed_decides_the_noise(served: Served) -> None:
    call = DECODE | BOUND | {"noise": "draw"}
    first, again, other = (served.call(call | {"seed": seed}) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    draws = function_of(served.model, "bound").draws
    torch.manual_seed(1)
    noise = [drawn(draw) for draw in draws]
    wanted = torch_numbers(served.model, "bound", BOUND["inputs"], noise, BOUND["wanted"])
    np.testing.assert_array_equal(numbers(first), wanted)


def test_100_clients_at_once_get_their_own_answers(served: Served) -> None:
    places = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    calls = [DECODE | {"inputs": {"z": place.tolist()}} for place in places]
    draws = [DECODE | BOUND | {"noise": "draw", "seed": seed} for seed in range(100)]
    with ThreadPoolExecutor(100) as clients:
        found = list(clients.map(served.call, calls))
        drawn_at_once = list(clients.map(served.call, draws))
    assert drawn_at_once == [served.call(call) for call in draws]
    with torch.no_grad():
        for place, answer in zip(places, found, strict=True):
            wanted = served.model.likelihood(torch.from_numpy(place[None])).mean
            np.testing.assert_array_equal(numbers(answer), wanted.flatten())


@pytest.mark.thorough(0.03, kinds=lambda preset, name: [name])
@pytest.mark.parametrize(("preset", "name"), CASES)
def test_a_served_page_knows_the_same_inputs_and_outputs(preset, name) -> None:
    function = function_of(model := model_of(PRESETS[preset].spec, MNIST), name)
    program = lowered(function)
    served = ports_of(model, function)
    for part in ("inputs", "outputs"):
        found, wanted = (
            {key: (port.shape, port.dtype) for key, port in getattr(of, part).items()} for of in (served, program)
        )
        assert found == wanted
    assert [(port.shape, port.kind) for port in served.noise] == [(port.shape, port.kind) for port in program.noise]


def test_a_part_that_cannot_be_traced_is_served(done: Run, monkeypatch) -> None:
    def rejecting(model, z):  # draws until one is accepted: how often depends on the draws
        while (u := torch.rand(1)) > 0.3:
            z = z + 0 * u
        return functions.decode(model, z) | {"u": u}

    for name in ("decode", "moments"):
        monkeypatch.setitem(FUNCTIONS, name, (rejecting, "z"))
    images = [(done, done.examples("test"))]
    with pytest.raises(SpecError, match="--serve"):
        contents_of(images)
    page, _ = contents_of(images, served=True)
    assert page["models"][0]["programs"]["decode"]["steps"] == []
    models = Models([done.served])
    for seed in range(20):
        answer = models.answer(json.dumps(DECODE | {"noise": "draw", "seed": seed, "wanted": ["u"]}).encode())
        assert np.frombuffer(answer, "<f4") <= 0.3


def test_a_model_that_is_too_large_for_a_page_is_served(done: Run, monkeypatch) -> None:
    monkeypatch.setattr(explorer_contents, "MOST_BYTES", 1000)
    images = [(done, done.examples("test"))]
    with pytest.raises(SpecError, match="--serve"):
        contents_of(images)
    assert contents_of(images, served=True)[0]["models"][0]["programs"]["decode"]["constants"] == []


def test_a_label_conditions_the_model_and_must_be_known() -> None:
    spec = Spec(data="npz:x.npz", latent=2, network="mlp:hidden=4", condition="labels")
    models = Models([model_of(spec, (1, 8, 8))])
    answers = [models.answer(json.dumps(DECODE | {"inputs": {"z": [0, 0], "label": [k]}}).encode()) for k in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]
    for label in (10, -1, 0.5, 1e300):
        with pytest.raises(Mistake, match="label"):
            models.answer(json.dumps(DECODE | {"inputs": {"z": [0, 0], "label": [label]}}).encode())


# What is refused


@pytest.mark.parametrize(
    "call",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000, b'{"model": 0}', json.dumps(DECODE).encode() + b"x",
        {"model": 1}, {"model": -1}, {"model": True}, {"model": 0.5}, {"model": 10**30}, {"name": "train"},
        {"name": "__init__"}, {"name": 1}, {"wanted": ["weights"]}, {"wanted": "mean"}, {"wanted": ["mean"] * 11},
        {"more": 1}, {"inputs": {}}, {"inputs": {"image": [0, 0]}}, {"inputs": {"z": [0, 0], "y": [1]}},
        {"inputs": {"z": [0]}}, {"inputs": {"z": [0, 0, 0]}}, {"inputs": {"z": [[0, 0]]}}, {"inputs": {"z": 0}},
        {"inputs": {"z": ["0", "0"]}}, {"inputs": {"z": [0, None]}}, {"inputs": {"z": [0, float("nan")]}},
        {"inputs": {"z": [0, float("inf")]}}, {"inputs": {"z": [0, 1e39]}}, {"noise": "some"}, {"noise": [[0] * 9]},
        {"noise": [[float("nan")] * 64]}, {"noise": []}, {"seed": 2**70}, {"seed": "1"}, {"seed": 1.5},
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_call_is_refused_in_one_line(served: Served, call) -> None:
    status, why = served.call(call if isinstance(call, bytes) else DECODE | call)
    assert status == 400
    assert 3 < len(why) < 300
    assert b"\n" not in why
    assert served.call(DECODE)[0] == 200


def test_a_part_that_fails_is_named(served: Served, monkeypatch) -> None:
    def failing(model, z):
        raise ValueError("no such z\nin this part")

    monkeypatch.setitem(FUNCTIONS, "decode", (failing, "z"))
    assert served.call(DECODE) == (500, b"ValueError: no such z")


def test_a_call_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    most = served.service.models.most_bytes
    assert served.call(json.dumps(DECODE).encode().ljust(most))[0] == 200
    with socket.create_connection(("127.0.0.1", served.port), 60) as client:
        client.sendall(head(served, f"Content-Length: {most + 1}"))
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    with socket.create_connection(("127.0.0.1", served.port), 60) as client:
        client.sendall(head(served, "Transfer-Encoding: chunked") + b"5\r\n12345\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 411")


def head(served: Served, line: str) -> bytes:
    return f"POST {served.path}call HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{line}\r\n\r\n".encode()


def test_a_call_that_does_not_arrive_is_given_up(served: Served, monkeypatch, caplog) -> None:
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", served.port), 60) as client:
        client.sendall(head(served, "Content-Length: 10") + b"{")
        assert client.recv(100).startswith(b"HTTP/1.1 408")
    monkeypatch.undo()
    with socket.create_connection(("127.0.0.1", served.port), 60) as client:
        client.sendall(head(served, "Content-Length: 10") + b"{")
    until(lambda: served.service.running == served.service.waiting == 0)
    assert served.call(DECODE)[0] == 200
    assert not caplog.records


def until(holds) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_calls_wait_up_to_a_number_of_bytes(served: Served, monkeypatch) -> None:
    go, models = Event(), served.service.models
    answer = models.answer

    def slow(body: bytes) -> bytes:
        assert go.wait(60)
        return answer(body)

    monkeypatch.setattr(models, "answer", slow)
    monkeypatch.setattr(serving, "MOST_WAITING", 25_000)
    body = json.dumps(DECODE).encode().ljust(10_000)
    with ThreadPoolExecutor(2) as clients:
        waiting = [clients.submit(served.call, body) for _ in range(2)]
        until(lambda: served.service.running == 2)
        assert served.call(body)[0] == 503
        go.set()
        assert [each.result()[0] for each in waiting] == [200, 200]
    assert served.call(body)[0] == 200


@pytest.mark.parametrize("said", ["", "GET /", "GET / HTTP/1.1\r\nHost: x\r\n", "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_no_stranger_keeps_the_page_from_being_shown(served: Served, said: str) -> None:
    """More connections than there is room for, without the token, that send nothing, half a request or a whole one."""
    with ExitStack() as clients:
        for number in range(serving.MOST_REQUESTS + 50):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", served.port), 60))
            client.sendall(said.encode())
            if number % 60 == 0:
                assert served.ask("GET", served.path)[0] == 200
        for _ in range(3):
            assert served.ask("GET", served.path)[0] == 200
            assert served.call(DECODE)[0] == 200
        until(lambda: len(served.server.server_state.connections) <= serving.MOST_STRANGERS)
    until(lambda: not served.server.server_state.connections)
    assert not served.service.known


def test_so_many_clients_of_the_page_are_connected(served: Served, monkeypatch) -> None:
    with ExitStack() as clients:
        monkeypatch.setattr(serving, "BODY_SECONDS", 60)
        for number in range(1, serving.MOST_REQUESTS):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", served.port), 60))
            client.sendall(head(served, "Content-Length: 10") + b"{")
            if number % 50 == 0:  # no more than that are strangers at the same time
                until(lambda number=number: len(served.service.known) >= number)
        until(lambda: len(served.service.known) >= serving.MOST_REQUESTS - 1)
        assert served.call(DECODE)[0] == 503
    until(lambda: not served.server.server_state.connections)
    assert served.call(DECODE)[0] == 200


# How it ends


def test_it_stops_when_nothing_is_asked(done: Run, monkeypatch) -> None:
    service = service_of([done])
    answer, found = service.models.answer, Queue()

    def slow(body: bytes) -> bytes:
        time.sleep(1.5)  # longer than what it waits for a request
        return answer(body)

    def ready(address: str) -> None:
        client = Served(service, None, address)
        Thread(target=lambda: [found.put(client.call(DECODE)) for _ in range(2)]).start()

    monkeypatch.setattr(service.models, "answer", slow)
    start = time.monotonic()
    # In a thread of its own: the browser of other tests has an event loop in this one
    with ThreadPoolExecutor(1) as beside:
        assert beside.submit(serve, service, ready, idle_minutes=0.01).result(60).endswith("request for 0.01 minutes")
    assert [found.get(timeout=60)[0] for _ in range(2)] == [200, 200]
    assert 3 < time.monotonic() - start < 60


@pytest.mark.thorough(0.5)
@pytest.mark.parametrize(("asked", "ignored"), [(False, False), (True, False), (True, True)])
def test_ctrl_c_ends_it_with_one_line(run, asked, ignored) -> None:
    before = contents(Run(run))
    words = [sys.executable, "-m", "vaelab", "explore", str(run), "--serve", "--open", "no"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if ignored:  # as sh does for a program that it starts with &
        words = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words]
    with subprocess.Popen(words, **pipes, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        try:
            address, what = process.stdout.readline(), process.stdout.readline()
            port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/\n", address).groups()
            assert f"{serving.IDLE_MINUTES} minutes" in what
            if asked:
                with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)) as client:
                    client.request("GET", f"/{token}/")
                    assert client.getresponse().status == 200
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("stopped\n", "")
            assert process.returncode == 0
        finally:
            process.kill()
    assert contents(Run(run)) == before


def test_serve_and_save_exclude_each_other(run, tmp_path, capsys) -> None:
    assert "--serve" in told(capsys, "explore", run, "--serve", "--save", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_a_missing_package_is_named(run, capsys, monkeypatch) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert "vaelab[serve]" in told(capsys, "explore", run, "--serve")


# The page in a browser


@pytest.mark.thorough(1)
def test_the_page_works_when_it_is_served(browser, done: Run) -> None:
    context = browser.new_context()
    tab = context.new_page()
    problems, requests, calls = [], [], []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda request: requests.append(request.url))
    tab.on(
        "response", lambda response: calls.append(response.request.post_data_json) if "call" in response.url else None
    )
    with started(service_of([done])) as served:
        tab.goto(served.address)
        tab.wait_for_selector("html[data-ready]")
        tab.get_by_test_id("map").press("ArrowRight")
        tab.wait_for_load_state("networkidle")
        assert {url.partition("#")[0] for url in requests} == {served.address, f"{served.address}call"}
        assert not problems
        levels = tab.evaluate("() => {const c = document.getElementById('live');"
            "return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)}")  # fmt: skip
        shown = np.array(levels).reshape(-1, 4)[:, 0]
        images = []
        for call in calls:
            if call["name"] == "decode":
                with torch.no_grad():
                    images.append(255 * served.model.likelihood(torch.tensor([call["inputs"]["z"]])).mean.flatten())
        assert min(abs(image.numpy() - shown).max() for image in images) <= 1
        assert not tab.locator("#failure").is_visible()
    tab.get_by_test_id("map").press("ArrowRight")
    tab.wait_for_selector("#failure:not([hidden])")
    assert "stopped" in tab.locator("#failure").inner_text()
    context.close()
