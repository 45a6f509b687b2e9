# One static binary in an otherwise empty image, run by nobody in particular.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t m3o .
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=${VERSION}" -o /out/m3o ./cmd/m3o \
	&& mkdir -p /out/data && mkdir -m 1777 /out/tmp

FROM scratch
ARG VERSION=""
LABEL org.opencontainers.image.title="m3o" \
	org.opencontainers.image.description="Sells API calls from one binary" \
	org.opencontainers.image.licenses="Apache-2.0" \
	org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/m3o /m3o
USER 65532:65532
ENV M3O_DATA=/data M3O_LISTEN=:8080
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/m3o", "health"]
ENTRYPOINT ["/m3o"]
