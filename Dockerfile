# mien serve in a container. Written without a container engine at hand: not built yet, so look at the first build.
#
#   docker build -t mien .
#   docker run --rm --read-only --tmpfs /tmp -v mien-jobs:/jobs -p 127.0.0.1:8642:8642 mien
#
# To let other machines in, publish the port without 127.0.0.1 and give tokens:
#   ... -p 8642:8642 -v ./tokens:/tokens:ro mien --token-file /tokens
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE CHANGELOG.md sbom.cdx.json ./
COPY docs/measured/results.jsonl docs/measured/costs.json docs/measured/
COPY src src
RUN python -m venv /opt/mien && /opt/mien/bin/pip install --no-cache-dir '.[serve,postgres]'

FROM python:3.11-slim
COPY --from=build /opt/mien /opt/mien
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin mien && install -d -o mien -m 0700 /jobs
ENV PATH=/opt/mien/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp/matplotlib
USER mien
VOLUME /jobs
EXPOSE 8642
# a running job may take ten seconds to note how far it came, open answers ten more: docker stop -t 30
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8642/healthz', timeout=4)"]
ENTRYPOINT ["mien", "serve", "--host", "0.0.0.0", "--jobs", "/jobs"]
