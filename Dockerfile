# The gateway, beside a database that runs elsewhere. Its settings are environment variables: docs/settings.md.
# It writes to /var/lib/hj212gw alone, so the root file system may be read-only: docker run --read-only.

FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY simulators simulators
RUN python -m venv /opt/hj212gw \
    && /opt/hj212gw/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10212 --user-group --no-create-home --home-dir /var/lib/hj212gw hj212gw \
    && install --directory --mode 0700 --owner hj212gw --group hj212gw /var/lib/hj212gw
COPY --from=build /opt/hj212gw /opt/hj212gw
ENV PATH=/opt/hj212gw/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HJ212GW_DATA_DIR=/var/lib/hj212gw \
    HJ212GW_HTTP__HOST=0.0.0.0
USER hj212gw
WORKDIR /var/lib/hj212gw
VOLUME /var/lib/hj212gw
EXPOSE 9212 9213
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, http.client as web; line = web.HTTPConnection('127.0.0.1', int(os.environ.get('HJ212GW_HTTP__PORT', '9213')), timeout=4); line.request('GET', '/healthz'); raise SystemExit(line.getresponse().status != 200)"]
ENTRYPOINT ["hj212gw"]
CMD ["serve"]
