# Two images, chosen with --target: `cpu` and `cuda` (docs/container.md). No `# syntax` line: what is
# used here BuildKit and buildah know themselves, so that nothing but BASE comes from an image registry.
ARG BASE=debian:trixie-slim

# What both images have of the system, and how they run.
FROM ${BASE} AS system
# Such as http://mirror.example: what stands there before /debian and /debian-security.
ARG DEBIAN_MIRROR
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# libnuma1: vLLM's CPU library loads it. tini: as process 1 it passes signals on and buries orphans.
# Versions are not pinned: the suite is, and its security updates are wanted.
# hadolint ignore=DL3008
RUN if [ -n "${DEBIAN_MIRROR}" ]; then \
        find /etc/apt '(' -name '*.list' -o -name '*.sources' ')' -exec \
            sed -i -E "s#https?://[^/ ]+/debian#${DEBIAN_MIRROR}/debian#" '{}' + ; \
    fi \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libnuma1 python3 python3-venv tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --user-group --no-create-home --home-dir /data/home --shell /bin/bash cyrene \
    && install -d -o cyrene -g cyrene /data /corpora
# HOME is in the volume, so that what vLLM, Triton and the hub's client keep outlives the container.
ENV CYRENE_HOME=/data \
    CYRENE_CORPORA=/corpora \
    CYRENE_TRAIN_PYTHON=/opt/cyrene/envs/train/bin/python \
    CYRENE_SERVE_PYTHON=/opt/cyrene/envs/serve/bin/python \
    HOME=/data/home \
    USER=cyrene \
    PATH=/opt/cyrene/.venv/bin:$PATH
WORKDIR /opt/cyrene
EXPOSE 3000 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-m", "cyrene_assets.diagnostics.health", "ui", "--port", "3000"]
ENTRYPOINT ["tini", "--", "cyrene"]
CMD ["ui", "--host", "0.0.0.0", "--without-password"]

# uv, of the version that the orchestrator's lock file has.
FROM system AS builder
# An index or a proxy of one's own; never with a password in it: arguments stay in the history.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
# A cache mount is another file system, from which no link reaches the image.
ENV UV_LINK_MODE=copy \
    UV_CACHE_DIR=/var/cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never
COPY cyrene_assets/locks/orchestrator.txt cyrene_assets/locks/
RUN python3 -m venv /opt/uv \
    && grep '^uv==' cyrene_assets/locks/orchestrator.txt > /opt/uv/uv.txt \
    && /opt/uv/bin/pip install --quiet --no-cache-dir --requirement /opt/uv/uv.txt
ENV PATH=/opt/uv/bin:$PATH

# The toolchains know of the project no more than their lock file, so that a change of the project
# makes none of these gigabytes again. The file is named here: a machine that builds an image with
# CUDA needs no GPU.
FROM builder AS train-cpu
COPY cyrene_assets/locks/train.txt ./
RUN --mount=type=cache,target=/var/cache/uv uv venv --quiet --python /usr/bin/python3 envs/train \
    && uv pip install --quiet --no-deps --python envs/train/bin/python --requirement train.txt

FROM builder AS serve-cpu
COPY cyrene_assets/locks/serve-cpu.txt ./
RUN --mount=type=cache,target=/var/cache/uv uv venv --quiet --python /usr/bin/python3 envs/serve \
    && uv pip install --quiet --no-deps --python envs/serve/bin/python --requirement serve-cpu.txt

FROM builder AS train-cuda
COPY cyrene_assets/locks/train-cuda.txt ./
RUN --mount=type=cache,target=/var/cache/uv uv venv --quiet --python /usr/bin/python3 envs/train \
    && uv pip install --quiet --no-deps --python envs/train/bin/python --requirement train-cuda.txt

FROM builder AS serve-cuda
COPY cyrene_assets/locks/serve-cuda.txt ./
RUN --mount=type=cache,target=/var/cache/uv uv venv --quiet --python /usr/bin/python3 envs/serve \
    && uv pip install --quiet --no-deps --python envs/serve/bin/python --requirement serve-cuda.txt

# The project in the orchestrator's environment. Its .env, which Dagster's own commands read, is
# written here, for what runs in the container cannot write to the project's folder.
FROM builder AS project
RUN --mount=type=cache,target=/var/cache/uv uv venv --quiet --python /usr/bin/python3 .venv \
    && uv pip install --quiet --no-deps --python .venv/bin/python \
       --requirement cyrene_assets/locks/orchestrator.txt
COPY . .
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip install --quiet --no-deps --python .venv/bin/python --editable . \
    && .venv/bin/python -m cyrene_assets.orchestration.literal_commands .venv/bin \
    && .venv/bin/python -m compileall -q cyrene_assets \
    && printf '%s\n' CYRENE_HOME=/data DAGSTER_HOME=/data/dagster DAGSTER_DISABLE_TELEMETRY=1 > .env

FROM system AS cpu
COPY --from=train-cpu /opt/cyrene/envs/train envs/train
COPY --from=serve-cpu /opt/cyrene/envs/serve envs/serve
COPY --from=project /opt/cyrene ./
COPY --chown=cyrene:cyrene corpora /corpora
VOLUME ["/data", "/corpora"]
USER 1000:1000

# CUDA's libraries come with the wheels, the driver with the container toolkit of the machine: no
# image of NVIDIA is needed. Triton compiles a little C at a GPU's first kernel: gcc, Python's headers.
FROM system AS cuda
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev \
    && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=train-cuda /opt/cyrene/envs/train envs/train
COPY --from=serve-cuda /opt/cyrene/envs/serve envs/serve
COPY --from=project /opt/cyrene ./
COPY --chown=cyrene:cyrene corpora /corpora
VOLUME ["/data", "/corpora"]
USER 1000:1000
