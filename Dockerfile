# syntax=docker/dockerfile:1
ARG PYTHON=3.11-slim-bookworm

# ---- build: every package by its hash, into an environment that is copied as it is
FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/build && python -m venv --without-pip /opt/upheld
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/build/bin/python -m pip install --require-hashes --requirement requirements/build.txt \
    && /opt/build/bin/python -m pip --python /opt/upheld/bin/python install \
        --require-hashes --only-binary :all: --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY evaluators evaluators
COPY consumers consumers
COPY service service
COPY migrations migrations
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/python -m pip --python /opt/upheld/bin/python install --no-deps --no-index /dist/*.whl \
    && /opt/upheld/bin/python -m compileall -q /opt/upheld/lib

# ---- run: the environment, an account without rights, nothing else
FROM python:${PYTHON}
RUN groupadd --system --gid 10001 upheld \
    && useradd --system --uid 10001 --gid upheld --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin upheld
COPY --from=build /opt/upheld /opt/upheld
# Inside a container every address is the container's own; what is published decides who reaches it. Writes over HTTP
# stay refused until UPHELD_TOKENS_FILE names a file of tokens.
ENV PATH=/opt/upheld/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    UPHELD_HOST=0.0.0.0 \
    UPHELD_METRICS_HOST=0.0.0.0 \
    UPHELD_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 9464
# Each part answers on its own metrics port, whether or not it serves the API.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('UPHELD_METRICS_PORT', '9464') + '/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["upheld"]
CMD ["run"]
