# The images, without a registry: one docker-archive, a layer an image, made of Debian's programs, the built Kubernetes and
# the scripts of Tests/Lab/images. Kept in the cache, under a name that follows from all that is in it.

build_images() {
    local kubernetes=$1 etcd=/usr/bin cache key archive work
    [[ -z $ETCD ]] || etcd=$("$LAB/fetch-etcd" "$ETCD")
    cache=${MASTERSWAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/masterswap}
    key=$({
        echo "$REPOSITORY"
        cat "$LAB/lib/images.sh" "$LAB"/images/*
        stat -L -c '%n %s %Y' "$kubernetes"/* "$etcd"/{etcd,etcdctl} /usr/bin/{busybox,socat} /usr/sbin/keepalived
    } | sha256sum | cut -c1-16)
    archive=$cache/images-$key.tar
    if [[ ! -e $archive ]]; then
        say "making the images"
        mkdir -p "$cache"
        rm -f "$cache"/images-*.tar
        work=$(mktemp -d "$cache/images.XXXXXX")
        make_archive "$kubernetes" "$etcd" "$work" "$archive.part" || { rm -rf "$work" "$archive.part"; die "could not make the images"; }
        rm -rf "$work"
        mv "$archive.part" "$archive"
    fi
    ln -f "$archive" "$SHARE/images.tar" 2>/dev/null || cp "$archive" "$SHARE/images.tar"
}

make_archive() (
    set -e
    kubernetes=$1 etcd=$2 work=$3 archive=$4
    mkdir "$work/out"
    : >"$work/list"

    # begin: an empty root with a shell; add PROGRAM FOLDER: a program with its libraries; image ENTRYPOINT NAME...
    begin() {
        root=$work/root
        rm -rf "$root"
        mkdir -p "$root"/{bin,sbin,etc,lib,lib64,tmp,run,usr/bin,usr/lib,usr/local/bin,usr/sbin,var/run}
        chmod 1777 "$root/tmp"
        cp /usr/bin/busybox "$root/bin/busybox"
        for applet in $(/usr/bin/busybox --list | grep -vx busybox); do ln -sf busybox "$root/bin/$applet"; done
        ln -sf /bin/busybox "$root/usr/bin/env"
        echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
        echo 'root:x:0:' >"$root/etc/group"
    }
    add() {
        cp -L "$1" "$root$2/"
        # -s: a static program has none, and ldd says so with a failure
        { ldd "$1" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
            [[ $library == /lib* || $library == /usr/lib* ]] || continue
            mkdir -p "$root${library%/*}"
            cp -L "$library" "$root$library"
        done
    }
    image() {
        local layer
        entry=$1
        shift
        (cd "$root" && tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/layer.tar" .)
        layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
        mv "$work/layer.tar" "$work/out/$layer.tar"
        jq -nc --arg layer "sha256:$layer" --argjson entry "$entry" '{ architecture: "amd64", os: "linux",
            config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Entrypoint: $entry, WorkingDir: "/" },
            rootfs: { type: "layers", diff_ids: [$layer] }, history: [{ created_by: "Tests/Lab/lib/images.sh" }] }' >"$work/config.json"
        config=$(sha256sum "$work/config.json" | cut -d' ' -f1)
        mv "$work/config.json" "$work/out/$config.json"
        jq -nc --arg config "$config.json" --arg layer "$layer.tar" '{ Config: $config, RepoTags: $ARGS.positional, Layers: [$layer] }' \
            --args "${@/#/$REPOSITORY/}" >>"$work/list"
    }

    for program in kube-apiserver kube-controller-manager kube-scheduler; do
        begin; add "$kubernetes/$program" /usr/local/bin; image "[\"$program\"]" "$program:$KUBERNETES_VERSION"
    done
    begin
    for program in "$etcd"/{etcd,etcdctl,etcdutl}; do [[ ! -e $program ]] || add "$program" /usr/local/bin; done
    image '["etcd"]' etcd:3.4.13-0
    begin; image '["/bin/tail", "-f", "/dev/null"]' pause:3.2 pause:3.1
    begin; add /usr/sbin/keepalived /usr/sbin; cp "$LAB/images/keepalived" "$root/entry"; image '["/entry"]' keepalived:v2.0.25
    # The one for k3s asks the API server, by the manifest's own command.
    mkdir -p "$root/container/tool"; mv "$root/entry" "$root/container/tool/run"; add /usr/bin/curl /usr/bin
    image '["/container/tool/run"]' keepalived:v2.0.29
    begin; cp "$LAB/images/minio" "$root/entry"; add "$kubernetes/kubectl" /usr/local/bin; add /usr/bin/socat /usr/local/bin
    cp "$LAB/images/local-path-provisioner" "$LAB/images/onecloud-operator" "$root/usr/local/bin/"
    # One layer for these three: they differ in what they are told to run.
    image '["/entry"]' minio:RELEASE.2021-06-17T00-10-46Z local-path-provisioner:v0.0.11 onecloud-operator:{v3.8.8,v3.11.9}
    begin; cp "$LAB/images/service" "$root/entry"; image '["/entry"]' influxdb:1.7.7 victoria-metrics:v1.95.1 {glance,host}:{v3.8.8,v3.11.9}

    jq -sc . "$work/list" >"$work/out/manifest.json"
    tar -C "$work/out" -cf "$archive" .
)
