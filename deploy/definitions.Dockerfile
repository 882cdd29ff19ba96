# Your definitions on top of the image of Attune, so that they are versioned, rolled out and rolled back as one.
#
#   docker build --file deploy/definitions.Dockerfile --tag registry.example/attune-shop:0.1.0 examples/shop
ARG ATTUNE_IMAGE=attune:0.1.0
FROM ${ATTUNE_IMAGE}
COPY . /etc/attune/definitions
# A fault in them ends the build, not a server.
RUN ["node", "/app/src/main.ts", "validate", "/etc/attune/definitions"]
CMD ["start", "--host", "0.0.0.0", "--data-dir", "/var/lib/attune", "--definitions", "/etc/attune/definitions"]
