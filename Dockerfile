# The image of Attune: Node, the modules that run, the source. There is no build step, since Node runs TypeScript as it is.
#
#   docker build --tag attune:0.1.0 .
#   docker run --read-only --tmpfs /tmp --volume attune:/var/lib/attune --publish 127.0.0.1:8080:8080 attune:0.1.0
#
# Nothing in it needs root, a shell, or to write outside the data directory and /tmp. Node takes signals as process 1
# itself (the server asks for SIGTERM and SIGINT), and starts no process that it would have to reap: no init is needed.

# The version that the tests run on. A release pins the digest too: node:24.21.0-trixie-slim@sha256:...
ARG NODE_IMAGE=node:24.21.0-trixie-slim

FROM ${NODE_IMAGE} AS modules
WORKDIR /app
COPY package.json package-lock.json ./
# Exactly what the lock says, and no script of a package runs.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
RUN install --directory --mode=0700 --owner=10001 --group=10001 /data

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="Attune" \
      org.opencontainers.image.description="Turns what a person just did into what their next email says." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=modules /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY web ./web
COPY sdk ./sdk
COPY examples ./examples
COPY src ./src
# A new volume takes over the owner of the folder it is mounted on.
COPY --from=modules --chown=10001:10001 /data /var/lib/attune
# A user that has no name has no home, and a package asks for one when it is loaded.
ENV HOME=/tmp
VOLUME /var/lib/attune
# By number, so that a cluster can tell that it is not root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=2s --retries=6 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.ATTUNE_SERVER__PORT ?? 8080) + '/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# What the main thread makes and drops at once may take 48 MB: without a limit V8 lets it grow to some 100 MB.
ENTRYPOINT ["node", "--max-semi-space-size=16", "/app/src/main.ts"]
# By flags, since variables would win over a configuration file. Other parameters take their place.
CMD ["start", "--host", "0.0.0.0", "--data-dir", "/var/lib/attune"]
