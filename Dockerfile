# The program alone, static, with the certificates it trusts. A mount needs
#   docker run --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined
# contrib/kubernetes has a pod whose sidecar mounts for the others.
ARG GO_VERSION=1.26.11
FROM golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
ARG COMMIT=unknown
ARG DATE=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT} -X main.date=${DATE}" \
    -o /out/usr/bin/ossfs ./cmd/ossfs \
 && mkdir -p /out/sbin /out/tmp /out/var/lib/ossfs \
 && ln -s /usr/bin/ossfs /out/sbin/mount.fuse.ossfs \
 && ln -s /usr/bin/ossfs /out/sbin/umount.fuse.ossfs

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
ENV PATH=/usr/bin
VOLUME /var/lib/ossfs
ENTRYPOINT ["/usr/bin/ossfs"]
CMD ["help"]
