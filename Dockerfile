# docker build --build-arg EXTRAS=serve -t foresell .          the service alone
# docker build --build-arg EXTRAS=serve,train -t foresell .    with the nightly job
FROM python:3.11-slim AS build
ARG EXTRAS=serve,train
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir "$(grep -o '^uv==[^ ]*' requirements.lock)" && uv venv /opt/foresell
COPY pyproject.toml README.md LICENSE ./
COPY features features
COPY training training
COPY serving serving
COPY foresell foresell
RUN uv pip install --no-cache --python /opt/foresell/bin/python \
    --constraints requirements.lock --compile-bytecode ".[${EXTRAS}]"

FROM python:3.11-slim
# LightGBM needs OpenMP.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home foresell \
    && install --directory --owner foresell /data
COPY --from=build /opt/foresell /opt/foresell
ENV PATH=/opt/foresell/bin:$PATH \
    FORESELL_HOME=/data/home \
    FORESELL_MLRUNS=/data/mlruns \
    FORESELL_HOST=0.0.0.0 \
    FORESELL_LOG_FORMAT=json \
    BENTOML_DO_NOT_TRACK=True
USER foresell
VOLUME /data
EXPOSE 3000
HEALTHCHECK --start-period=60s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/livez')"]
ENTRYPOINT ["foresell"]
CMD ["serve"]
