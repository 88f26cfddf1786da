"""The queue: one row per job, in SQLite or PostgreSQL.

SQLAlchemy Core, not the ORM: one set of statements for both, and each change of state is one statement that also says
which state it starts from, so that no job is taken twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, Row

from mien.errors import InputError, MissingExtra

QUEUED, RUNNING, DONE, FAILED, CANCELLED = STATES = ("queued", "running", "done", "failed", "cancelled")
OVER = (DONE, FAILED, CANCELLED)
MOST_STARTS = 3

_TABLES = sa.MetaData()
_JOBS = sa.Table(
    "mien_jobs",
    _TABLES,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("home", sa.String(32), nullable=False, index=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("state", sa.String(12), nullable=False, index=True),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("started", sa.Float(53)),
    sa.Column("finished", sa.Float(53)),
    sa.Column("starts", sa.Integer, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
)


@dataclass(frozen=True)
class Job:
    """One row.

    Attributes:
        home: name of the jobs folder that holds its files; a server sees those of its own folder alone.
        owner: fingerprint of the token that sent it; empty where tokens are not asked for.
        created, started, finished: seconds since 1970.
        starts: how often it was begun and not put back in order.
        error: why it failed, or what could not be analysed.
        key: the sender's own name for it, so that one that is sent again is not done again; may be empty.
    """

    id: str
    home: str
    owner: str
    state: str
    created: float
    started: float | None
    finished: float | None
    starts: int
    options: dict[str, Any]
    error: str
    key: str


def open_engine(url: str, folder: Path) -> Engine:
    """The database at `url`, or SQLite in `folder`; tables are made where there are none.

    Raises:
        InputError: the URL is none, or nothing answers there.
        MissingExtra: the driver is not installed.
    """
    try:
        parsed: URL = sa.make_url(url) if url else URL.create("sqlite", database=str(folder / "jobs.sqlite"))
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "postgres") from error
    except sa.exc.ArgumentError as error:
        raise InputError("database: not a URL; it looks like postgresql://user:password@host/name") from error
    if parsed.get_backend_name() == "sqlite":
        sa.event.listen(engine, "connect", _careful)
    try:
        _TABLES.create_all(engine)
    except sa.exc.OperationalError as error:
        raise InputError(f"database: nothing answers at {parsed.render_as_string(hide_password=True)}") from error
    return engine


def _careful(connection: Any, record: Any) -> None:
    """A power cut loses nothing, and a reader waits for a writer."""
    del record
    for setting in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {setting}").close()


class Store:
    """Jobs of one folder.

    Args:
        engine: from `open_engine`.
        home: name of the folder.
    """

    def __init__(self, engine: Engine, home: str) -> None:
        self._engine, self._home = engine, home

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def add(self, id: str, owner: str, options: dict[str, Any], limit: int, key: str = "") -> bool:
        """Put a job at the end of the queue; false if `limit` of them wait or run already."""
        if self.active() >= limit:
            return False
        values = {
            "id": id, "home": self._home, "owner": owner, "state": QUEUED, "created": time.time(), "starts": 0,
            "options": json.dumps(options), "error": "", "key": key,
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_JOBS).values(**values))
        return True

    def get(self, id: str) -> Job | None:
        """One job of this folder."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_JOBS).where(_JOBS.c.id == id, _JOBS.c.home == self._home)).first()
        return None if row is None else _job(row)

    def sent(self, owner: str, key: str) -> Job | None:
        """The job that a sender has sent under this key."""
        query = sa.select(_JOBS).where(_JOBS.c.home == self._home, _JOBS.c.owner == owner, _JOBS.c.key == key)
        with self._engine.connect() as connection:
            row = connection.execute(query).first() if key else None
        return None if row is None else _job(row)

    def ids(self) -> set[str]:
        """Names of all jobs of this folder."""
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(_JOBS.c.id).where(_JOBS.c.home == self._home)).scalars())

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state."""
        query = sa.select(_JOBS.c.state, sa.func.count()).where(_JOBS.c.home == self._home).group_by(_JOBS.c.state)
        with self._engine.connect() as connection:
            found = {state: int(count) for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    def active(self) -> int:
        """Number of jobs that wait or run."""
        counts = self.counts()
        return counts[QUEUED] + counts[RUNNING]

    def ahead(self, job: Job) -> int:
        """Number of jobs that wait before this one."""
        query = sa.select(sa.func.count()).where(
            _JOBS.c.home == self._home, _JOBS.c.state == QUEUED, _JOBS.c.created < job.created
        )
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def claim(self) -> Job | None:
        """Take the oldest waiting job; None if there is none."""
        oldest = (
            sa.select(_JOBS.c.id)
            .where(_JOBS.c.home == self._home, _JOBS.c.state == QUEUED)
            .order_by(_JOBS.c.created, _JOBS.c.id)
            .limit(1)
        )
        while True:
            with self._engine.begin() as connection:
                id = connection.execute(oldest).scalar()
                if id is None:
                    return None
                if self._change(
                    connection, id, (QUEUED,), state=RUNNING, started=time.time(), starts=_JOBS.c.starts + 1
                ):
                    return _job(connection.execute(sa.select(_JOBS).where(_JOBS.c.id == id)).one())

    def finish(self, id: str, state: str, error: str = "") -> bool:
        """A running job has come to an end; false if it was cancelled meanwhile."""
        with self._engine.begin() as connection:
            return self._change(connection, id, (RUNNING,), state=state, finished=time.time(), error=error)

    def put_back(self, id: str) -> bool:
        """A running job was stopped in good order: it waits again, at its old place."""
        with self._engine.begin() as connection:
            return self._change(connection, id, (RUNNING,), state=QUEUED, starts=_JOBS.c.starts - 1)

    def cancel(self, id: str) -> bool:
        """Cancel a job that waits or runs; false if it is over."""
        with self._engine.begin() as connection:
            return self._change(connection, id, (QUEUED, RUNNING), state=CANCELLED, finished=time.time())

    def recover(self) -> tuple[int, int]:
        """After a start: jobs that ran when the server died wait again, or fail if that happened too often.

        Returns:
            Numbers of jobs that wait again and that were given up.
        """
        mine = (_JOBS.c.home == self._home) & (_JOBS.c.state == RUNNING)
        given_up = f"the server went down {MOST_STARTS} times while it worked on this; it was given up"
        with self._engine.begin() as connection:
            lost = connection.execute(
                sa.update(_JOBS)
                .where(mine, _JOBS.c.starts >= MOST_STARTS)
                .values(state=FAILED, finished=time.time(), error=given_up)
            )
            back = connection.execute(sa.update(_JOBS).where(mine).values(state=QUEUED))
        return int(back.rowcount), int(lost.rowcount)

    def expired(self, before: float) -> list[str]:
        """Jobs that were over before this time."""
        query = sa.select(_JOBS.c.id).where(
            _JOBS.c.home == self._home, _JOBS.c.state.in_(OVER), _JOBS.c.finished < before
        )
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def remove(self, ids: Sequence[str]) -> None:
        """Forget jobs."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_JOBS).where(_JOBS.c.id.in_(ids), _JOBS.c.home == self._home))

    def _change(self, connection: sa.Connection, id: str, states: Sequence[str], **values: Any) -> bool:
        done = connection.execute(
            sa.update(_JOBS)
            .where(_JOBS.c.id == id, _JOBS.c.home == self._home, _JOBS.c.state.in_(states))
            .values(**values)
        )
        return int(done.rowcount) == 1


def _job(row: Row[Any]) -> Job:
    facts = dict(row._mapping)
    return Job(**{**facts, "options": json.loads(facts["options"])})
