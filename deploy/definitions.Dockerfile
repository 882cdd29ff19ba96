# Your definitions on top of the image of Attune, so that they are versioned, rolled out and rolled back as one.
#
#   docker build --file deploy/definitions.Dockerfile --tag registry.example/attune-shop:0.1.0 examples/shop
ARG ATTUNE_IMAGE=attune:0.1.0
FROM ${ATTUNE_IMAGE}
COPY . /etc/attune/definitions
ENV ATTUNE_SERVER__DEFINITIONS_DIR=/etc/attune/definitions
# A fault in them ends the build, not a server.
RUN ["node", "/app/src/main.ts", "validate", "/etc/attune/definitions"]
