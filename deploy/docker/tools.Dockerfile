# The tools API with its sandbox. Build from the project's folder:
#   docker build --file deploy/docker/tools.Dockerfile --tag twinport-tools .
# Runs as uid 10001 and needs no writable path but /data and a small /tmp. The sandbox (bubblewrap) makes user
# namespaces, which Docker's default profile forbids: see the tools service of deploy/compose.yaml. Where they are
# forbidden python_coder answers 503 and every other tool works. The same image is a runner: python -m tools_api.runner
# The encoder of documents needs torch, which without CUDA is 200 MB instead of some GB: for that build add
#   --build-arg PIP_EXTRA_INDEX_URL=the address of PyTorch's package index for CPUs

FROM python:3.13-slim-trixie AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
ARG PIP_EXTRA_INDEX_URL
COPY deploy/locks/torch-cpu.lock deploy/locks/torch.lock /tmp/
RUN python -m venv /venv \
    && { /venv/bin/pip install --require-hashes --no-deps --requirement /tmp/torch-cpu.lock \
        || /venv/bin/pip install --require-hashes --no-deps --requirement /tmp/torch.lock; }
COPY deploy/locks/runtime.lock /tmp/runtime.lock
RUN /venv/bin/pip install --require-hashes --no-deps --requirement /tmp/runtime.lock
WORKDIR /app
COPY deploy/locks/sandbox.lock deploy/locks/sandbox.lock
COPY config.py ./
COPY shared ./shared
COPY tools_api ./tools_api
RUN /venv/bin/python -m tools_api.sandbox.packages /venv/sandbox-packages

FROM python:3.13-slim-trixie
# Debian keeps no old versions to pin; the tag of the base image fixes the release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap libseccomp2 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 twinport \
    && useradd --uid 10001 --gid twinport --no-create-home --home-dir /data --shell /usr/sbin/nologin twinport \
    && install --directory --owner twinport --group twinport --mode 0700 /data /keys
COPY --from=packages /venv /venv
WORKDIR /app
COPY pyproject.toml config.py ./
COPY prompts ./prompts
COPY shared ./shared
COPY tools_api ./tools_api
RUN python -m compileall -q config.py shared tools_api
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 TOOLS_PORT=10006 DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 10006
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:10006/health', timeout=4)"]
CMD ["python", "-m", "tools_api"]
