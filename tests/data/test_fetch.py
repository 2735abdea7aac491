import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vaelab.data import fetch as module
from vaelab.data.fetch import PublishedFile, fetch
from vaelab.system.errors import DataError, SpecError

TRAIN, TEST = (os.urandom(300_000) for _ in range(2))
WHOLE = {"train_32x32.mat": TRAIN, "test_32x32.mat": TEST}


class Server:
    """Serves `contents` on 127.0.0.1, with Range unless told otherwise; `cuts` of the first answers stop half-way."""

    def __init__(
        self, contents: dict[str, bytes], cuts: int = 0, ranges: bool = True, drips: float = 0, redirect: str = ""
    ) -> None:
        self.contents, self.cuts, self.ranges, self.drips, self.redirect = contents, cuts, ranges, drips, redirect
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data/"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name, wanted = handler.path.rpartition("/")[2], handler.headers["Range"]
        self.requests.append((name, wanted))
        if self.redirect:
            handler.send_response(302)
            handler.send_header("Location", self.redirect + name)
            return handler.end_headers()
        content = self.contents.get(name)
        if content is None:
            return handler.send_error(404)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start >= len(content):
            return handler.send_error(416)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        cut = self.cuts > 0
        self.cuts -= cut
        left = content[start : start + (len(content) - start) // 2] if cut else content[start:]
        with suppress(ConnectionError):  # where nobody reads on
            for at in range(0, len(left), 1000 if self.drips else len(left)):
                handler.wfile.write(left[at : at + 1000] if self.drips else left)
                time.sleep(self.drips)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    servers = []

    def start(*arguments: object, **options: object) -> Server:
        servers.append(Server(*arguments, **options))
        return servers[-1]

    digests = {name: hashlib.md5(content).hexdigest() for name, content in WHOLE.items()}
    monkeypatch.setitem(
        module.PUBLISHED, "svhn", PublishedFile(("http://127.0.0.1:9/never/",), digests, dict.fromkeys(WHOLE, 300_000))
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield start
    for server in servers:
        server.close()


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "svhn").iterdir()}


def test_whole_files_arrive_and_are_not_asked_for_again(serve, tmp_path: Path):
    server, seen = serve(WHOLE), []
    paths = fetch("svhn", tmp_path, [server.url], lambda *state: seen.append(state))
    assert paths == [tmp_path / "svhn" / name for name in WHOLE]
    assert files(tmp_path) == WHOLE
    assert seen[-1] == ("test_32x32.mat", 300_000, 300_000)
    assert fetch("svhn", tmp_path, [server.url]) == paths
    assert len(server.requests) == 2


def test_files_go_to_the_environments_folder_or_the_cache(serve, tmp_path: Path, monkeypatch):
    server = serve(WHOLE)
    assert fetch("svhn", None, [server.url])[0].parent == tmp_path / "cache" / "vaelab" / "svhn"
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "env"))
    assert fetch("svhn", None, [server.url])[0].parent == tmp_path / "env" / "svhn"


def test_the_cache_is_made_for_this_user_alone(serve, tmp_path: Path):
    before = os.umask(0)
    try:
        fetch("svhn", None, [serve(WHOLE).url])
    finally:
        os.umask(before)
    for folder in ("cache", "cache/vaelab"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_a_cut_download_is_continued_where_it_stopped(serve, tmp_path: Path):
    server = serve(WHOLE, cuts=1)
    fetch("svhn", tmp_path, [server.url])
    assert files(tmp_path) == WHOLE
    assert server.requests[:2] == [("train_32x32.mat", None), ("train_32x32.mat", "bytes=150000-")]


def test_a_download_that_stays_cut_leaves_a_part_and_goes_on_next_time(serve, tmp_path: Path, refused):
    server = serve(WHOLE, cuts=2)
    with refused(DataError, "train_32x32.mat", server.url, "cut short at 225,000 of 300,000 bytes", "resumes"):
        fetch("svhn", tmp_path, [server.url])
    assert files(tmp_path) == {"train_32x32.mat.part": TRAIN[:225_000]}
    fetch("svhn", tmp_path, [server.url])
    assert files(tmp_path) == WHOLE
    assert server.requests[2] == ("train_32x32.mat", "bytes=225000-")


def test_a_server_without_ranges_starts_again(serve, tmp_path: Path):
    server = serve(WHOLE, cuts=1, ranges=False)
    fetch("svhn", tmp_path, [server.url])
    assert files(tmp_path) == WHOLE


@pytest.mark.parametrize("left", [TRAIN, TRAIN + b"more", b"other" * 100])
def test_a_part_that_is_whole_or_wrong_is_not_trusted_without_its_hash(serve, tmp_path: Path, left: bytes):
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat.part").write_bytes(left)
    fetch("svhn", tmp_path, [serve(WHOLE).url])
    assert files(tmp_path) == WHOLE


def test_the_next_mirror_is_asked_when_one_has_other_content_or_nothing(serve, tmp_path: Path):
    wrong, empty, good = serve(dict.fromkeys(WHOLE, b"other")), serve({}), serve(WHOLE)
    fetch("svhn", tmp_path, [wrong.url, empty.url, good.url.rstrip("/")])
    assert files(tmp_path) == WHOLE
    assert len(wrong.requests) == len(empty.requests) == len(good.requests) == 2


def test_no_good_mirror_is_one_line_and_no_file(serve, tmp_path: Path, refused):
    wrong, empty, down = serve(dict.fromkeys(WHOLE, b"other")), serve({}), "http://127.0.0.1:9/closed"
    with refused(DataError, "train_32x32.mat", wrong.url, "MD5", empty.url, "HTTP 404", down, "refused"):
        fetch("svhn", tmp_path, [wrong.url, empty.url, down])
    assert files(tmp_path) == {}


def test_another_file_in_its_place_is_not_replaced(serve, tmp_path: Path, refused):
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat").write_bytes(b"mine")
    with refused(DataError, tmp_path / "svhn" / "train_32x32.mat", "move it away"):
        fetch("svhn", tmp_path, [serve(WHOLE).url])
    assert files(tmp_path) == {"train_32x32.mat": b"mine"}


def test_more_than_was_published_is_not_taken(serve, tmp_path: Path, refused):
    huge = serve(dict.fromkeys(WHOLE, TRAIN + b"0" * 5_000_000))
    with refused(DataError, "train_32x32.mat", "more than the published 300,000 bytes"):
        fetch("svhn", tmp_path, [huge.url])
    assert files(tmp_path) == {"train_32x32.mat.part": b""}


def test_a_download_that_drips_is_given_up(serve, tmp_path: Path, refused, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(module, "SLOWEST", 1_000_000)
    server = serve(WHOLE, drips=0.05)
    began = time.monotonic()
    with refused(DataError, "slower than 1,000,000 bytes/s", "resumes"):
        fetch("svhn", tmp_path, [server.url])
    assert time.monotonic() - began < 10
    assert 0 < len(files(tmp_path)["train_32x32.mat.part"]) < 300_000


@pytest.mark.parametrize("to", ["ftp://127.0.0.1:9/x", "file:///etc/passwd", "FTP://127.0.0.1/x"])
def test_a_redirect_leads_to_the_web_alone(serve, tmp_path: Path, refused, to: str):
    with refused(DataError, "train_32x32.mat"):
        fetch("svhn", tmp_path, [serve(WHOLE, redirect=to).url])
    assert files(tmp_path) == {}


def test_a_redirect_to_another_server_is_followed(serve, tmp_path: Path):
    fetch("svhn", tmp_path, [serve(WHOLE, redirect=serve(WHOLE).url).url])
    assert files(tmp_path) == WHOLE


def test_a_part_that_is_a_link_is_not_written_through(serve, tmp_path: Path, refused):
    (tmp_path / "svhn").mkdir()
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "svhn" / "train_32x32.mat.part").symlink_to(target)
    with refused(DataError, "train_32x32.mat", "symbolic links"):
        fetch("svhn", tmp_path, [serve(WHOLE).url])
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("size", [0, 18, 300_000, 400_000])
def test_a_part_with_a_second_name_is_left_to_its_owner(serve, tmp_path: Path, size: int):
    (tmp_path / "svhn").mkdir()
    mine = tmp_path / "mine"
    mine.write_bytes(b"x" * size)
    os.link(mine, tmp_path / "svhn" / "train_32x32.mat.part")
    server = serve(WHOLE)
    fetch("svhn", tmp_path, [server.url])
    assert files(tmp_path) == WHOLE
    assert mine.read_bytes() == b"x" * size
    assert server.requests[0] == ("train_32x32.mat", None)


def test_a_part_that_gets_a_second_name_meanwhile_is_not_written_to(serve, tmp_path: Path, refused, monkeypatch):
    (tmp_path / "svhn").mkdir()
    part, mine = tmp_path / "svhn" / "train_32x32.mat.part", tmp_path / "mine"
    part.write_bytes(TRAIN[:1000])
    os.link(part, mine)
    monkeypatch.setattr(
        module, "_leave_shared", lambda part: None, raising=False
    )  # it had one name when it was looked at
    with refused(DataError, "train_32x32.mat", "second name"):
        fetch("svhn", tmp_path, [serve(WHOLE).url])
    assert mine.read_bytes() == TRAIN[:1000]


def test_unknown_names_and_impossible_folders_are_refused(tmp_path: Path, refused):
    with refused(SpecError, "'frey'", "mnist, svhn"):
        fetch("frey", tmp_path)
    (tmp_path / "file").touch()
    with refused(DataError, tmp_path / "file", "--data-root"):
        fetch("svhn", tmp_path / "file")


def test_real_mnist_in_another_wrapper_counts_as_fetched(real: Path):
    assert [path.name for path in fetch("mnist", real, mirrors=())] == list(module.PUBLISHED["mnist"].md5)
