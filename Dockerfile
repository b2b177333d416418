# aprp as an image; docs/docker.md tells how to build and run it.
ARG PYTHON_TAG=3.11-slim
FROM python:${PYTHON_TAG}

# Requirements in a layer of their own: it is built anew only when they change.
WORKDIR /app
COPY requirements.txt requirements-otel.txt ./
# --build-arg OTEL=on: with what OTEL=on needs (docs/tracing.md).
ARG OTEL=off
RUN pip install --no-cache-dir --root-user-action=ignore -r requirements.txt \
    $(if [ "$OTEL" = on ]; then echo "-r requirements-otel.txt"; fi)

RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin aprp \
    && install --directory --owner=10001 --group=aprp --mode=0750 /var/cache/aprp
COPY runserver.py ./
COPY settings settings
COPY aprp aprp
COPY media/sample.mp4 media/sample.mp4
RUN python -m compileall -q aprp settings

# The log goes to the console and the cache to a volume; no byte is written to the image's file system.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    APRP_SETTINGS=settings.production \
    APRP_CACHE_DIR=/var/cache/aprp \
    ASYNC_PROXY_SERVER_PORT=8000 \
    APRP_LOG_FILE= \
    APRP_LOG_CONSOLE=on

# A new volume takes over the owner of the directory: user 10001 may write to it.
VOLUME /var/cache/aprp
# By number, for platforms that refuse to run what may be root.
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s CMD ["python", "-m", "aprp.healthcheck"]
ENTRYPOINT ["python", "runserver.py"]
