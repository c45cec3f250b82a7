# gpuql on NVIDIA GPUs. From the root of a checkout:
#   docker build -f docker/gpu.Dockerfile -t gpuql:gpu .                                    CUDA 13, driver 580 or later
#   docker build -f docker/gpu.Dockerfile --build-arg CUDA=cuda12 -t gpuql:gpu-cuda12 .     CUDA 12.9, driver 575 or later

ARG CUDA=cuda13

# "base" images hold the CUDA runtime. Compilers and their headers (NVRTC, NVVM, nvJitLink) come as Python packages with
# the extra; what the larger "runtime" images add (cuBLAS, NPP, NCCL, 2 GB and more) gpuql never loads.
FROM nvidia/cuda:12.9.1-base-ubuntu24.04 AS cuda12
FROM nvidia/cuda:13.0.2-base-ubuntu24.04 AS cuda13

# hadolint ignore=DL3006
FROM ${CUDA} AS python
# Ubuntu keeps only the newest build of a package, so a pinned version fails from the next security fix on.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ARG CUDA
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY bench/queries bench/queries
COPY planner planner
COPY kernels kernels
COPY gpuql gpuql
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python3 -m venv /opt/gpuql \
    && /opt/gpuql/bin/pip install --no-cache-dir "$(echo /wheels/gpuql-*.whl)[${CUDA}]"

FROM python AS runtime
RUN useradd --create-home --uid 10001 gpuql \
    && mkdir -p /var/cache/gpuql /data \
    && chown gpuql:gpuql /var/cache/gpuql /data
COPY --from=build /opt/gpuql /opt/gpuql
# The healthcheck fails where no GPU can be used, unless GPUQL_HEALTHCHECK_DEVICE=cpu says that this is meant.
ENV PATH=/opt/gpuql/bin:$PATH \
    XDG_CACHE_HOME=/var/cache/gpuql \
    CUPY_CACHE_DIR=/var/cache/gpuql/cupy \
    GPUQL_HEALTHCHECK_DEVICE=gpu \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /data
# Compiled code outlives the container, so the next one compiles nothing it has seen.
VOLUME ["/var/cache/gpuql"]
HEALTHCHECK --interval=1m --timeout=60s --start-period=60s \
    CMD ["sh", "-c", "gpuql doctor --device \"$GPUQL_HEALTHCHECK_DEVICE\""]
ENTRYPOINT ["gpuql"]
