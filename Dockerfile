# Holds the built artefacts and the runtime. Run `gatewright build` first; no configuration is compiled here.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock \
 && useradd --system --home-dir /app gatewright \
 && install -d -o gatewright -m 0700 data

COPY runtime/ runtime/
COPY generated/ generated/
COPY gateway.yaml gateway.lock ./
# A configuration in several files also needs: COPY gateway.d/ gateway.d/
# What is compiled here need not be at every start, where nothing may be written.
RUN python -m compileall -q runtime generated \
 && printf '#!/bin/sh\nexec python -m runtime.cli "$@"\n' > /usr/local/bin/gatewright && chmod 755 /usr/local/bin/gatewright

# Threads share two heaps of the C library's, where each would keep the gaps of its own.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
USER gatewright
EXPOSE 20128
VOLUME /app/data
ENTRYPOINT ["gatewright"]
CMD ["serve", "--host", "0.0.0.0"]
