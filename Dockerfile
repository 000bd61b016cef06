# The gateway in a container: docker build -t langchain-darkai . && docker run -p 8000:8000 langchain-darkai
# docs/scaling.md says how to give it models, keys and limits.

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE _langchain_darkai_pytest.py ./
COPY langchain_darkai ./langchain_darkai
# An environment of its own, which the next stage takes over without the tools that built it. EXTRAS may be others.
ARG EXTRAS=openai,limits,metrics,redis
RUN python -m venv /opt/gateway && /opt/gateway/bin/pip install --no-cache-dir ".[$EXTRAS]"

FROM python:3.13-slim
COPY --from=build /opt/gateway /opt/gateway
RUN useradd --system --uid 10001 --no-create-home gateway
USER 10001
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8000
# SIGTERM lets replies finish: give them as long as `serve` does, with docker stop --time 15.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["langchain-darkai", "serve"]
CMD ["--host", "0.0.0.0", "--port", "8000", "--metrics", "--log-format", "json"]
