# syntax=docker/dockerfile:1
# Two images from one build: `runtime` answers and reads files; `setup` has pip besides and only fetches the models.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin premise && install -D target/release/premise /out/premise

FROM debian:bookworm-slim AS runtime
# libstdc++: the ONNX Runtime library wants it. tzdata: the nightly time is local time. tesseract-ocr: reads scans; for
# other languages add tesseract-ocr-deu and so on.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 tesseract-ocr tesseract-ocr-eng tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin premise \
    && install -d -o premise -g premise -m 700 /data /models
COPY --from=build /out/premise /usr/local/bin/premise
ENV PREMISE_DATA_DIR=/data PREMISE_MODELS_DIR=/models
USER premise
WORKDIR /data
ENTRYPOINT ["premise"]
CMD ["serve", "--addr", "0.0.0.0:7878"]

FROM runtime AS setup
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
USER premise
CMD ["setup"]

# The default target.
FROM runtime
