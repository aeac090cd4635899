# The main API. Build from the project's folder:
#   docker build --file deploy/docker/main.Dockerfile --tag twinport-main .
# Runs as uid 10001 and needs no writable path but /data.

FROM python:3.13-slim-trixie AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY deploy/locks/runtime.lock /tmp/runtime.lock
RUN python -m venv /venv && /venv/bin/pip install --require-hashes --no-deps --requirement /tmp/runtime.lock

FROM python:3.13-slim-trixie
# Debian keeps no old versions to pin; the tag of the base image fixes the release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 twinport \
    && useradd --uid 10001 --gid twinport --no-create-home --home-dir /data --shell /usr/sbin/nologin twinport \
    && install --directory --owner twinport --group twinport --mode 0700 /data /keys
COPY --from=packages /venv /venv
WORKDIR /app
COPY pyproject.toml config.py ./
COPY prompts ./prompts
COPY shared ./shared
COPY main_api ./main_api
COPY cli ./cli
RUN python -m compileall -q config.py shared main_api cli
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 MAIN_API_PORT=10007 DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 10007
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:10007/health', timeout=4)"]
CMD ["python", "-m", "main_api"]
