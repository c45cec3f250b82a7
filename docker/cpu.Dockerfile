# gpuql on CPUs. From the root of a checkout: docker build -f docker/cpu.Dockerfile -t gpuql:cpu .

FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY bench/queries bench/queries
COPY planner planner
COPY kernels kernels
COPY gpuql gpuql
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python3 -m venv /opt/gpuql \
    && /opt/gpuql/bin/pip install --no-cache-dir /wheels/gpuql-*.whl

FROM python:3.12-slim-bookworm AS runtime
RUN useradd --create-home --uid 10001 gpuql \
    && mkdir -p /var/cache/gpuql /data \
    && chown gpuql:gpuql /var/cache/gpuql /data
COPY --from=build /opt/gpuql /opt/gpuql
ENV PATH=/opt/gpuql/bin:$PATH \
    XDG_CACHE_HOME=/var/cache/gpuql
USER 10001
WORKDIR /data
# Compiled code outlives the container, so the next one compiles nothing it has seen.
VOLUME ["/var/cache/gpuql"]
HEALTHCHECK --interval=1m --timeout=30s --start-period=30s CMD ["gpuql", "doctor", "--device", "cpu"]
ENTRYPOINT ["gpuql"]
