# descend in a container, for a CPU or an NVIDIA GPU.
#
#     docker build -t descend .
#     docker build -t descend-cuda --build-arg TORCH_BACKEND=cu130 .
#     docker run --rm -it --user "$(id -u):$(id -g)" -v "$PWD:/work" descend train my_texts/
#     docker run --rm -it --gpus all -v "$PWD:/work" descend-cuda train my_texts/
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# The builds of torch that uv knows: cpu, cu126, cu130, and others.
ARG TORCH_BACKEND=cpu
RUN pip install --no-cache-dir "uv>=0.9"
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN uv venv /opt/descend \
    && uv pip install --no-cache --python /opt/descend --torch-backend "${TORCH_BACKEND}" \
        ".[export,serve,studio]"

FROM python:${PYTHON}-slim
# torch compiles its kernels with the C++ compiler of the system.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/descend /opt/descend
# The user of `--user` has no home folder, so caches have a place that anybody may write to.
RUN useradd --uid 1000 --create-home descend && install -d -m 1777 /cache /work
ENV PATH=/opt/descend/bin:$PATH \
    DESCEND_CACHE_DIR=/cache/descend \
    HF_HOME=/cache/huggingface \
    TORCHINDUCTOR_CACHE_DIR=/cache/inductor
USER 1000
WORKDIR /work
ENTRYPOINT ["descend"]
CMD ["--help"]
