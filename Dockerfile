# minipush: one static program in an otherwise empty image.
#
#   docker build -t minipush .
#   docker run -e MINIPUSH_DATABASE_URL=… -e MINIPUSH_SECRET_KEY=… -p 127.0.0.1:8080:8080 minipush
#
# Without a database URL it refuses to start: a private Postgres would be lost with the container. compose.yaml brings both.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -ldflags="-s -w" -o /image/minipush ./cmd/minipush
# /tmp receives uploads of workbooks, which are read from their end. The certificates are for HTTPS to the platform.
RUN mkdir -p /image/tmp /image/etc/ssl/certs && chmod 1777 /image/tmp && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /image/zoneinfo.zip

FROM scratch
LABEL org.opencontainers.image.title="minipush" \
      org.opencontainers.image.licenses="MIT AND MPL-2.0"
COPY --from=build /image/ /
ENV MINIPUSH_CONTAINER=1 \
    MINIPUSH_HTTP_ADDR=0.0.0.0:8080 \
    ZONEINFO=/zoneinfo.zip
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/minipush", "health"]
ENTRYPOINT ["/minipush"]
CMD ["serve"]
