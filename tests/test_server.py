"""`mien serve` as its users meet it: a process of its own on a free port."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")
pytest.importorskip("prometheus_client")
connect = pytest.importorskip("websockets.sync.client").connect

from mien.analysis import Run, analyze  # noqa: E402
from mien.errors import InputError  # noqa: E402
from mien.export.web import MODELS  # noqa: E402
from mien.pipeline.flow import Flow, Options  # noqa: E402
from mien.pipeline.store import find_file  # noqa: E402
from mien.server import home  # noqa: E402
from mien.server.app import serve  # noqa: E402
from mien.server.settings import Settings  # noqa: E402
from mien.server.store import CANCELLED, DONE, FAILED, QUEUED, RUNNING  # noqa: E402
from server_kit import Server  # noqa: E402

TOKEN, OTHER = "a-token-of-some-length-1", "a-token-of-some-length-2"
linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds workers through /proc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = ("--max-upload", "2", "--max-pixels", "600000", "--max-duration", "20", "--queue", "1", "--timeout", "10")
    running = Server(tmp_path_factory.mktemp("server") / "jobs", *limits)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With tokens, with a page, open to one site, and with results that are soon removed."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "tokens").write_text(f"# two\n{TOKEN}\n\n{OTHER}\n")
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("<title>ours</title>")
    options = ("--token-file", str(folder / "tokens"), "--retain", "0.0006", "--pages", str(folder / "site"))
    options = (*options, "--origin", "https://faces.example")
    running = Server(folder / "jobs", *options)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def photo(portrait_file: Path) -> bytes:
    return portrait_file.read_bytes()


def long_clip(path: Path, portrait: np.ndarray, write: Callable[..., Path], count: int = 450) -> bytes:
    """The portrait's face, moving, at 25 frames/s: some seconds of work."""
    return write(path, [portrait[40 : 40 + 192, 130 - i % 20 : 322 - i % 20] for i in range(count)]).read_bytes()


def send(server: Server, files: list[tuple[str, bytes]], **options: Any) -> str:
    parts = [("file", (name, data)) for name, data in files]
    answer = server.http.post("/v1/jobs", params=options, files=parts)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return str(answer.json()["id"])


def test_a_picture_gets_the_rows_of_analyze(server: Server, photo: bytes, portrait_file: Path) -> None:
    answer = server.http.post("/v1/analyze", content=photo)
    assert answer.status_code == 200
    [row] = analyze(portrait_file).rows
    expected = {name: value for name, value in row.items() if name not in ("source", "frame")}
    assert answer.json()["faces"] == [expected]
    assert (answer.json()["width"], answer.json()["height"]) == (512, 512)
    assert row["label"] == "happiness"
    form = server.http.post("/v1/analyze", files={"file": ("me.jpg", photo)})
    assert form.json() == answer.json()
    assert not list((server.jobs / "spool").iterdir())


def test_the_annotated_copy_is_the_picture_with_a_box(server: Server, photo: bytes, portrait: np.ndarray) -> None:
    answer = server.http.post("/v1/analyze", content=photo, headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    changed = np.abs(image.astype(int) - portrait).max(2) > 60
    assert image.shape == portrait.shape
    assert 0.005 < changed.mean() < 0.2


def test_headers(server: Server) -> None:
    headers = server.http.get("/v1/models").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"content": b""}, 422, "no file came"),
        ({"content": b"no picture at all"}, 422, "not a picture"),
        ({"content": b"x" * 2_000_001}, 413, "--max-upload"),
        ({"content": (b"x" * 100_000 for _ in range(21))}, 413, "2000000"),  # chunked: no length is stated
        ({"content": b"x", "headers": {"Content-Encoding": "gzip"}}, 415, "Content-Encoding"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 422, "boundary"),
        ({"content": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 422, "damaged"),
        ({"files": {"picture": ("a.jpg", b"x")}}, 422, "'picture'"),
        ({"files": {"file": (None, b"x")}}, 422, "no file name"),
        ({"files": [("file", ("a.jpg", b"x")), ("file", ("b.jpg", b"x"))]}, 422, "limit is 1"),
        ({"content": b"x", "params": {"min_face": 0}}, 422, "min_face"),
        ({"content": b"x", "params": {"colour": "red"}}, 422, "colour"),
        ({"content": b"x", "params": {"model": "/etc/passwd"}}, 422, "mien-s"),
        ({"content": b"x", "params": {"detector": "magic"}}, 422, "not one of"),
    ],
)
def test_bad_requests(server: Server, change: dict[str, Any], status: int, words: str) -> None:
    answer = server.http.post("/v1/analyze", **change)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


@linux
def test_an_upload_goes_to_disk_and_not_into_memory(strict: Server) -> None:
    def most_mb() -> float:
        [line] = [x for x in Path(f"/proc/{strict.process.pid}/status").read_text().splitlines() if "VmHWM" in x]
        return int(line.split()[1]) / 1e3

    before = most_mb()
    pieces = (bytes(1_000_000) for _ in range(60))
    answer = strict.http.post("/v1/analyze", content=pieces, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 422  # zeros are no picture
    assert most_mb() - before < 20


def test_too_many_pixels_are_refused_before_they_are_decoded(server: Server) -> None:
    # 20,000 x 20,000 in a few hundred bytes: only the header says so
    bomb = b"P5\n20000 20000\n255\n" + bytes(200)
    answer = server.http.post("/v1/analyze", content=bomb)
    assert answer.status_code == 422
    assert "400000000 pixels" in answer.json()["error"]
    assert "--max-pixels" in answer.json()["error"]


def test_pages_of_other_sites_and_names_of_other_hosts_are_refused(server: Server, photo: bytes) -> None:
    foreign = server.http.post("/v1/analyze", content=photo, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    own = server.http.post("/v1/analyze", content=photo, headers={"Origin": server.url})
    assert own.status_code == 200
    rebound = server.http.get("/v1/models", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    with pytest.raises(Exception, match="403"):
        connect(f"{server.url.replace('http', 'ws')}/v1/live", origin="https://evil.example")


def test_a_full_line_is_answered_with_429(server: Server, photo: bytes) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: server.http.post("/v1/analyze", content=photo), range(24)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    assert all(int(a.headers["retry-after"]) >= 1 for a in answers if a.status_code == 429)


def test_a_job_gives_the_files_of_mien_analyze(server: Server, clip: Path, photo: bytes, tmp_path: Path) -> None:
    files = [("talk.MP4", clip.read_bytes()), ("../../me.jpg", photo), ("broken.mp4", b"no video")]
    id = send(server, files, overlay=True, plot=True, report=True)
    job = server.over(id)
    assert job["state"] == DONE, job
    assert "broken.mp4: not a video" in job["error"]
    names = [file["name"] for file in job["files"]]
    assert {"faces.csv", "events.csv", "summary.json", "talk.overlay.mp4", "me.overlay.png", "report.html"} <= set(
        names
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "talk.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "in" / "me.jpg").write_bytes(photo)
    run = Run(Flow(Options()), tmp_path / "out")
    run.analyze([str(tmp_path / "in")])
    expected = (tmp_path / "out" / "faces.csv").read_text().replace(f"{tmp_path / 'in'}{os.sep}", "")
    fetched = server.http.get(f"/v1/jobs/{id}/result/faces.csv")
    assert fetched.headers["content-type"].startswith("text/csv")
    assert fetched.text == expected
    assert server.http.get(f"/v1/jobs/{id}/result/.progress.json").status_code == 404
    assert server.http.get(f"/v1/jobs/{id}/result/..%2F..%2Fhome").status_code == 404
    assert not (server.jobs / "jobs" / id / "input").exists()  # what was sent is not needed any more
    assert server.http.delete(f"/v1/jobs/{id}").status_code == 204
    assert server.http.get(f"/v1/jobs/{id}").status_code == 404
    assert not (server.jobs / "jobs" / id).exists()
    log = server.log.read_text()
    assert f"job {id}: done after" in log
    assert not any(name in log for name in ("talk", "me.jpg", "broken"))


def test_a_long_video_is_refused(server: Server, portrait: np.ndarray, make_clip: Any, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.mp4", [portrait[:96, :96]] * 3, [0, 10_000, 21_000])
    job = server.over(send(server, [("long.mp4", clip.read_bytes())]))
    assert job["state"] == FAILED
    assert "more than 20 s" in job["error"]
    assert "--max-duration" in job["error"]


def test_jobs_line_up_are_refused_and_cancelled(
    server: Server, portrait: np.ndarray, make_clip: Any, tmp_path: Path
) -> None:
    data, before = long_clip(tmp_path / "long.mp4", portrait, make_clip), server.metric('mien_jobs{state="cancelled"}')
    running = send(server, [("long.mp4", data)])
    server.until(running, lambda job: job["state"] == RUNNING and job.get("frames", 0) > 0)
    key = {"Idempotency-Key": "one and the same"}
    waiting, again = (
        server.http.post("/v1/jobs", files={"file": ("next.mp4", data)}, headers=key).json()["id"] for _ in range(2)
    )
    assert waiting == again
    job = server.http.get(f"/v1/jobs/{waiting}").json()
    assert (job["state"], job["ahead"]) == (QUEUED, 0)
    full = server.http.post("/v1/jobs", files={"file": ("more.mp4", data)})
    assert full.status_code == 429
    assert int(full.headers["retry-after"]) >= 1
    assert server.http.get(f"/v1/jobs/{waiting}/result/faces.csv").status_code == 409
    for id in (waiting, running):
        assert server.http.delete(f"/v1/jobs/{id}").json()["state"] == CANCELLED
    end = time.monotonic() + 10
    while (server.jobs / "jobs" / running).exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not {running, waiting} & {path.name for path in (server.jobs / "jobs").iterdir()}
    assert server.metric('mien_jobs{state="cancelled"}') == before + 2


@pytest.mark.slow
@linux
def test_a_worker_that_hangs_costs_one_answer(server: Server, photo: bytes) -> None:
    [pid] = server.workers("picture_worker")
    os.kill(pid, signal.SIGSTOP)
    hung = server.http.post("/v1/analyze", content=photo)
    assert hung.status_code == 504
    assert "--timeout" in hung.json()["error"]
    again = server.http.post("/v1/analyze", content=photo)
    assert again.status_code == 200
    assert server.metric('mien_workers_lost_total{how="hung"}') > 0


def half_sent(server: Server, head: bytes, body: bytes = b"") -> socket.socket:
    """A request to analyse, by hand."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n" + body)
    return connection


@pytest.mark.slow
def test_a_body_that_does_not_go_on_is_given_up(server: Server) -> None:
    with half_sent(server, b"Content-Length: 1000", b"abc") as connection:
        begin = time.monotonic()
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        assert 9.9 < time.monotonic() - begin < 20
    assert not list((server.jobs / "spool").iterdir())


@pytest.mark.slow
@linux
def test_who_goes_away_leaves_the_line(server: Server, photo: bytes) -> None:
    [worker] = server.workers("picture_worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        length = f"Content-Length: {len(photo)}".encode()
        with half_sent(server, length, photo) as first:
            waits(lambda: server.metric("mien_workers_busy ") == 1)
            with half_sent(server, length, photo):
                waits(lambda: server.metric("mien_requests_waiting ") == 1)
            waits(lambda: server.metric("mien_requests_waiting ") == 0)
            os.kill(worker, signal.SIGCONT)
            assert first.recv(1000).startswith(b"HTTP/1.1 200")
    finally:
        os.kill(worker, signal.SIGCONT)


def waits(met: Callable[[], bool], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@linux
def test_a_job_whose_process_dies_fails_alone(
    server: Server, portrait: np.ndarray, make_clip: Any, tmp_path: Path
) -> None:
    id = send(server, [("long.mp4", long_clip(tmp_path / "long.mp4", portrait, make_clip))])
    server.until(id, lambda job: job.get("frames", 0) > 0)
    os.kill(server.workers("job_worker")[0], signal.SIGKILL)
    job = server.over(id)
    assert job["state"] == FAILED
    assert "broke down (exit -9)" in job["error"]
    assert server.http.get("/healthz").status_code == 200


def test_live_frames(server: Server, portrait: np.ndarray) -> None:
    url = server.url.replace("http", "ws") + "/v1/live"
    with connect(url, subprotocols=["mien.live.v1"]) as live:
        assert live.subprotocol == "mien.live.v1"
        tracks = []
        for shift in range(0, 25, 5):
            image = np.roll(portrait[:400], shift, axis=1)[:, :480]
            live.send(cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes())
            answer = json.loads(live.recv(30))
            assert answer["frame"] == shift // 5
            assert answer["faces"][0]["label"] == "happiness"
            tracks.append(answer["faces"][0]["track"])
        assert tracks == [0] * 5
        live.send(b"no picture")
        assert "not a picture" in json.loads(live.recv(30))["error"]
        # more than can be analysed: the newest one is answered, in bounded memory
        frame = cv2.imencode(".jpg", portrait[:400, :480, ::-1])[1].tobytes()
        for _ in range(60):
            live.send(frame)
        while (last := json.loads(live.recv(30)))["frame"] < 65:
            assert last["faces"][0]["track"] == 0
        assert last["dropped"] > 0
    with connect(f"{url}?model=nothing") as live, pytest.raises(Exception, match="1008"):
        live.recv(10)
    with ExitStack() as stack:
        cameras = [stack.enter_context(connect(url)) for _ in range(5)]
        with pytest.raises(Exception, match="1013"):
            cameras[-1].recv(10)


def test_models_metrics_and_openapi(server: Server, photo: bytes) -> None:
    counted = 'mien_requests_total{method="POST",route="/v1/analyze",status="200"}'
    before = server.metric(counted)
    assert server.http.post("/v1/analyze", content=photo).status_code == 200
    assert server.metric(counted) == before + 1
    models = server.http.get("/v1/models").json()
    assert models["default"] == "mien-s"
    assert {"mien-s", "mien-m"} <= {model["name"] for model in models["models"]}
    assert models["detectors"][0] == Options().detector
    document = server.http.get("/openapi.json").json()
    assert set(document["paths"]["/v1/analyze"]["post"]["responses"]) >= {"200", "413", "422", "429"}
    assert document["components"]["schemas"]["Face"]["examples"]
    [model] = [p for p in document["paths"]["/v1/analyze"]["post"]["parameters"] if p["name"] == "model"]
    assert "mien-s" in model["schema"]["enum"]
    assert server.http.get("/nothing").json()["error"].startswith("there is nothing here")
    for method, path in (("GET", "/v1/analyze"), ("PUT", "/v1/jobs"), ("POST", "/healthz")):
        assert server.http.request(method, path).status_code == 405
    assert server.http.options(f"/v1/jobs/{'x' * 22}").headers["allow"] == "GET, DELETE"


def test_pages(strict: Server) -> None:
    answer = strict.http.get("/")  # without a token: the page must be there to ask for it
    assert answer.text == "<title>ours</title>"
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
    assert strict.http.get("/%2e%2e/tokens").status_code == 404
    assert strict.http.get("/v1/analyze", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405
    for name in home.ROUTES:
        assert name[0] in home.page()


def test_the_page_finds_its_weights(server: Server) -> None:
    assert "Nothing leaves this device" in server.http.get("/").text
    for name in MODELS:
        answer = server.http.get(f"/models/{name}.onnx")
        assert answer.content == find_file(name).read_bytes()
    assert server.http.get("/models/yunet.onnx").status_code == 404


def test_tokens(strict: Server, photo: bytes) -> None:
    for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = strict.http.post("/v1/analyze", content=photo, headers=header)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert strict.http.get("/metrics").status_code == 401
    assert strict.http.get("/healthz").status_code == 200
    mine, theirs = ({"Authorization": f"Bearer {token}"} for token in (TOKEN, OTHER))
    assert strict.http.post("/v1/analyze", content=photo, headers=mine).status_code == 200
    id = strict.http.post("/v1/jobs", files={"file": ("a.jpg", photo)}, headers=mine).json()["id"]
    assert strict.http.get(f"/v1/jobs/{id}", headers=theirs).status_code == 404
    assert strict.http.delete(f"/v1/jobs/{id}", headers=theirs).status_code == 404
    assert strict.http.get(f"/v1/jobs/{id}", headers=mine).status_code == 200
    url = strict.url.replace("http", "ws") + "/v1/live"
    with pytest.raises(Exception, match="401"):
        connect(url)
    with connect(url, subprotocols=["mien.live.v1", f"bearer.{TOKEN}"]) as live:
        live.send(photo)
        assert json.loads(live.recv(30))["faces"]


def test_a_site_that_was_let_in(strict: Server, photo: bytes) -> None:
    known, unknown = (
        {"Origin": f"https://{name}.example", "Authorization": f"Bearer {TOKEN}"} for name in ("faces", "b")
    )
    answer = strict.http.post("/v1/analyze", content=photo, headers=known)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://faces.example"
    assert strict.http.post("/v1/analyze", content=photo, headers=unknown).status_code == 403
    assert "access-control-allow-origin" not in strict.http.get("/v1/models", headers=unknown).headers
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    before = strict.http.options("/v1/analyze", headers={"Origin": "https://faces.example", **asked})
    assert before.status_code == 200
    assert "POST" in before.headers["access-control-allow-methods"]
    assert strict.http.get("/healthz", headers={"Host": "faces.example"}).status_code == 200


def test_nothing_is_kept_longer_than_asked(strict: Server, photo: bytes) -> None:
    strict.http.headers["Authorization"] = f"Bearer {TOKEN}"
    id = strict.http.post("/v1/jobs", files={"file": ("a.jpg", photo)}).json()["id"]
    assert strict.over(id)["state"] == DONE
    assert (strict.jobs / "jobs" / id / "result" / "faces.csv").is_file()
    end = time.monotonic() + 10  # retain is 2.2 s
    while strict.http.get(f"/v1/jobs/{id}").status_code == 200 and time.monotonic() < end:
        time.sleep(0.1)
    assert strict.http.get(f"/v1/jobs/{id}").status_code == 404
    assert not (strict.jobs / "jobs" / id).exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_survives_the_death_of_the_server(how: int, portrait: np.ndarray, make_clip: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    data = long_clip(path, portrait, make_clip)
    first = Server(tmp_path / "jobs")
    id, second = send(first, [("long.mp4", data)]), send(first, [("long.mp4", data[: len(data) // 2])])
    note = tmp_path / "jobs" / "jobs" / id / "result" / ".progress.json"
    end = time.monotonic() + 60
    while not (note.is_file() and '"frames": 0' not in note.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    noted = json.loads(note.read_text())["sources"]["long.mp4"]["frames"]
    first.stop(how)
    again = Server(tmp_path / "jobs")
    try:
        news = again.until(id, lambda job: job.get("frames") is not None)
        assert news["frames"] >= noted > 0  # it goes on, and does not begin anew
        assert again.over(id, 120)["state"] == DONE
        run = Run(Flow(Options()), tmp_path / "out")
        run.analyze([str(path)])
        expected = (tmp_path / "out" / "faces.csv").read_text().replace(str(path), "long.mp4")
        assert again.http.get(f"/v1/jobs/{id}/result/faces.csv").text == expected
        assert again.over(second)["state"] in (DONE, FAILED)
    finally:
        again.stop()
    assert again.process.returncode == -signal.SIGTERM


def test_a_second_server_in_the_folder_or_on_the_port_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another server uses this folder"):
        serve(Settings(jobs=server.jobs, port=0), print)
    with pytest.raises(InputError, match="cannot listen there"):
        serve(Settings(jobs=tmp_path / "new", port=int(server.url.split(":")[-1])), print)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used for jobs"):
        serve(Settings(jobs=tmp_path / "file", port=0), print)
