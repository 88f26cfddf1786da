"""The parts of the server by themselves: settings, the store of jobs, workers that crash."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")
pytest.importorskip("prometheus_client")
connect = pytest.importorskip("websockets.sync.client").connect

from mien.errors import InputError, MissingExtra  # noqa: E402
from mien.server import pool as pools  # noqa: E402
from mien.server.refusal import Refusal  # noqa: E402
from mien.server.settings import Settings, read_tokens  # noqa: E402
from mien.server.store import DONE, RUNNING, Store, open_engine  # noqa: E402


def test_settings_name_the_value_and_the_cure(tmp_path: Path) -> None:
    for wrong in ({"workers": 0}, {"retain_h": float("inf")}, {"queue": -1}, {"pages": tmp_path}):
        with pytest.raises(InputError, match=r"must be|index\.html"):
            Settings(**wrong)
    for text, words in (("", "no token"), ("short\n", "16 to 256"), ("ä" * 20, "16 to 256")):
        (tmp_path / "tokens").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=words):
            read_tokens(tmp_path / "tokens")
    with pytest.raises(InputError, match="cannot be read"):
        read_tokens(tmp_path / "none")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = "" if request.param == "sqlite" else os.environ.get("MIEN_POSTGRES", "")
    if request.param == "postgresql" and not url:
        pytest.skip("MIEN_POSTGRES names no database")
    opened = Store(open_engine(url, tmp_path), tmp_path.name)
    yield opened
    opened.remove(list(opened.ids()))
    opened.close()


def test_the_queue_gives_each_job_once(store: Store) -> None:
    names = [f"job-{index:02}" for index in range(20)]
    assert all(store.add(name, "", {"every": 2}, 20) for name in names)
    assert not store.add("one-too-many", "", {}, 20)
    taken: list[str] = []

    def take() -> None:
        while (job := store.claim()) is not None:
            assert job.options == {"every": 2}
            taken.append(job.id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == names
    assert store.counts()[RUNNING] == 20


def test_changes_of_state(store: Store) -> None:
    for name in ("a", "b", "c"):
        assert store.add(name, "me", {}, 9, f"key of {name}")
    assert store.sent("me", "key of b").id == "b"  # type: ignore[union-attr]
    assert store.sent("you", "key of b") is None
    assert store.sent("me", "") is None
    assert store.claim().id == "a"  # type: ignore[union-attr]
    assert store.ahead(store.get("c")) == 1  # type: ignore[arg-type]
    assert store.put_back("a")
    assert store.get("a").starts == 0  # type: ignore[union-attr]
    assert store.claim().id == "a"  # type: ignore[union-attr]
    assert store.cancel("a")
    assert not store.finish("a", DONE)  # cancelled meanwhile
    assert not store.cancel("a")
    assert store.cancel("b")
    for _ in range(3):  # a job that takes the server down with it is not tried for ever
        assert store.claim().id == "c"  # type: ignore[union-attr]
        back, lost = store.recover()
    assert (back, lost) == (0, 1)
    assert "3 times" in store.get("c").error  # type: ignore[union-attr]
    assert store.expired(time.time() - 60) == []
    assert sorted(store.expired(time.time() + 1)) == ["a", "b", "c"]


def test_databases_that_do_not_answer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a URL"):
        open_engine("nonsense", tmp_path)
    with pytest.raises((InputError, MissingExtra), match=r"nothing answers at .*:\*\*\*@|mien\[postgres\]"):
        open_engine("postgresql://me:secret@127.0.0.1:1/none", tmp_path)


CRASHER = """
import os, sys
from mien.server.channel import pack
sys.stdout.buffer.write(pack({"ok": True}))
sys.stdout.flush()
sys.stdin.buffer.read(8)
os.abort()
"""


def test_a_crash_is_the_inputs_fault_and_the_next_one_is_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pools, "PICTURE_WORKER", (sys.executable, "-c", CRASHER))
    lost: list[str] = []

    async def ask() -> list[int]:
        pool = pools.Pool({}, 1, 0, 20, lost.append)
        statuses = []
        for _ in range(2):
            try:
                await pool.ask({"kind": "picture"})
            except Refusal as refusal:
                statuses.append(refusal.status)
        await pool.close()
        return statuses

    assert asyncio.run(ask()) == [422, 422]
    assert lost == ["crashed", "crashed"]
