"""The plain page at `/` where no other was built."""

from __future__ import annotations

from html import escape

from mien import __version__

ROUTES = (
    ("POST /v1/analyze", "a picture in, its faces out; with Accept: image/png an annotated copy"),
    ("POST /v1/jobs", "a video, or several files"),
    ("GET /v1/jobs/{id}", "how a job stands"),
    ("GET /v1/jobs/{id}/result/{file}", "faces.csv, events.csv, summary.json and what else was asked for"),
    ("DELETE /v1/jobs/{id}", "cancel a job, or remove its results"),
    ("WebSocket /v1/live", "frames of a camera in, faces out"),
    ("GET /v1/models", "models and detectors"),
    ("GET /healthz", "is it well"),
    ("GET /metrics", "counts for Prometheus"),
    ("GET /openapi.json", "all of this for a machine"),
)


def page() -> str:
    """HTML that names the routes."""
    rows = "".join(f"<tr><th><code>{escape(route)}</code></th><td>{escape(text)}</td></tr>" for route, text in ROUTES)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>mien</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 3rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid #8884 }}
th {{ font-weight: normal }}
code, pre {{ font-family: ui-monospace, monospace; font-size: .9em }}
pre {{ overflow-x: auto }}
@media (max-width: 40rem) {{ th, td {{ display: block; border: 0; padding: .2rem 0 }} td {{ padding-bottom: .8rem }} }}
</style></head><body><main>
<h1>mien {escape(__version__)}</h1>
<p>This server reads facial expressions in pictures, videos and live cameras.
Nothing that is sent to it leaves this machine.</p>
<table>{rows}</table>
<p>To try it:</p>
<pre>curl --data-binary @picture.jpg http://localhost:8642/v1/analyze</pre>
</main></body></html>
"""
