# One static binary in an otherwise empty image, run by nobody in particular.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=${VERSION}" -o /out/m3o ./cmd/m3o && mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/m3o /m3o
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV M3O_DATA=/data M3O_LISTEN=:8080
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/m3o"]
