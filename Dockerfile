# The image: built from source here, run on a base with a C++ library and nothing to log in to.
#   make docker-build
# Where no registry can be reached, Dockerfile.prebuilt makes the same of a binary that is there already.

ARG RUST=1.95

FROM docker.io/library/rust:${RUST}-slim-bookworm AS build
# RocksDB is C++, and its bindings are made with libclang.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libclang-dev make \
    && rm -rf /var/lib/apt/lists/*
# The tool of k8s/image/sbom, before the source: it changes less often.
ENV XDG_CACHE_HOME=/var/cache
WORKDIR /tool
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --quiet --locked --version 0.5.9 --root /var/cache/tidemark/sbom-0.5.9 cargo-cyclonedx
WORKDIR /source
COPY . .
ENV CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=/target
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    cargo build --release --locked --package cli --bin tidemark \
    && mkdir -p /image/usr/local/bin /image/usr/share/tidemark /data \
    && strip --strip-debug -o /image/usr/local/bin/tidemark /target/release/tidemark \
    && k8s/image/sbom /image/usr/share/tidemark/sbom.json \
    && cp LICENSE /image/usr/share/tidemark/LICENSE

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tidemark" \
    org.opencontainers.image.description="A clustered time-series database that speaks InfluxDB" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
COPY --from=build --chown=65532:65532 /data/ /var/lib/tidemark/
ENV TIDEMARK_DATA_DIR=/var/lib/tidemark \
    TIDEMARK_HTTP_BIND_ADDRESS=:8086 \
    TIDEMARK_PROBE_BIND_ADDRESS=:8089 \
    TIDEMARK_LOG_FORMAT=json
USER 65532:65532
WORKDIR /
VOLUME /var/lib/tidemark
EXPOSE 8086 8088 8089
STOPSIGNAL SIGTERM
# Recovery of a large log may take its time; a failure counts after half an hour, a success from the first.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30m --retries=6 \
    CMD ["/usr/local/bin/tidemark", "probe", "livez"]
ENTRYPOINT ["/usr/local/bin/tidemark"]
CMD ["serve"]
