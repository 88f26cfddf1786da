"""The server behind `mien serve`: pictures, jobs and a live camera over HTTP, on the one path of `mien analyze`.

The process that answers never decodes anything: pictures, frames and videos are opened by worker processes, so that a
codec that crashes or hangs costs one answer and not the server.

    app.py        the application: routes, start and stop
    guard.py      tokens, foreign pages, headers
    uploads.py    bodies streamed to disk
    pictures.py, jobs.py, live.py, about.py    the routes
    pool.py       processes for pictures and frames          picture_worker.py
    runner.py     one process for each job                   job_worker.py
    store.py      the queue, in SQLite or PostgreSQL
"""
