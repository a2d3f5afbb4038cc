# One image for every part: `docker run yesladder collect`, `... worker`, `... build`.
FROM python:3.12-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN UV_PROJECT_ENVIRONMENT=/app UV_COMPILE_BYTECODE=1 uv sync --frozen --no-dev --no-install-project
COPY ladder ladder
COPY producers producers
COPY stream stream
COPY warehouse warehouse
COPY dbt_like_sql dbt_like_sql
COPY answers answers
COPY yesladder yesladder
COPY ladders ladders
COPY datasets datasets
RUN UV_PROJECT_ENVIRONMENT=/app UV_COMPILE_BYTECODE=1 uv sync --frozen --no-dev --no-editable

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 yesladder && install -d -o yesladder /data /data/warehouse
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 YESLADDER_WAREHOUSE=/data/warehouse
USER yesladder
WORKDIR /data
VOLUME /data
ENTRYPOINT ["yesladder"]
