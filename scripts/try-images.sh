#!/usr/bin/env bash
# Builds and tests the images without a container engine: by Debian's buildah, in a chroot, as root.
# With the argument gpu, the image for trainings on a GPU too: a download of 3 GB.
# The base image is made of Debian and a copy of a CPython of the version that the Dockerfiles name.
# The base image and the storage are cached in $SHELFMARK_TRY_IMAGES.
set -euo pipefail
cd "$(dirname "$0")/.."

CACHE=${SHELFMARK_TRY_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/shelfmark-try-images}
LARGEST=600 # largest size of the service's image in MB
FORBIDDEN='^(wandb|dvc|gcsfs|google|matplotlib|hydra|invoke|pandas|psutil|pyarrow|pytest)'

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "a chroot needs root: sudo $0"
pinned=$(sed -n 's/^FROM python:\(.*\) AS pinned$/\1/p' dockerfiles/api.dockerfile)
for file in dockerfiles/train*.dockerfile; do
    grep -qx "FROM python:$pinned AS pinned" "$file" || fail "the images differ in Python"
done
tag=${pinned%%@*}
version=${tag%%-*} release=${tag##*-}
commit=$(git rev-parse HEAD)

missing=()
for tool in buildah debootstrap; do
    command -v $tool >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} != 0 ]; then
    command -v apt-get >/dev/null || fail "${missing[*]} not found, nor apt-get to install it"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$CACHE"
work=$(mktemp -d "$CACHE/work.XXXXXX")
containers=()
service=
buildah() {
    command buildah --storage-driver vfs --root "$CACHE/storage" \
        --runroot "$CACHE/run" "$@"
}
clean_up() {
    if [ -n "$service" ]; then
        kill -KILL "$(last_child "$service")" 2>/dev/null || true
        wait "$service" 2>/dev/null || true
    fi
    for container in "${containers[@]}"; do
        buildah rm "$container" >/dev/null || true
    done
    buildah rmi --prune >/dev/null 2>&1 || true # intermediate layers
    rm -rf "$work"
}
trap clean_up EXIT

python_home() { # the folder of an installed CPython of that version
    local candidate
    for candidate in "$(command -v "python$version" || true)" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python3 \
        "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-"$version".*/bin/python3; do
        if [ -x "$candidate" ] && "$candidate" -c '' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.base_prefix)'
            return
        fi
    done
    fail "no CPython $version to copy; uv python install $version fetches one"
}

make_base() {
    local root="$work/base" python
    python=$(python_home)
    debootstrap --variant=minbase --include=ca-certificates,libssl3,libffi8,zlib1g,libbz2-1.0,liblzma5,libsqlite3-0,libreadline8,libuuid1,libexpat1 \
        "$release" "$root" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; exit 1; }
    # As small as the official image: without documents, package lists, symbols and tests.
    rm -rf "$root"/var/{cache/apt,lib/apt/lists}/* "$root"/usr/share/{doc,man,locale,info}/*
    (cd "$python" && tar c --exclude=__pycache__ --exclude=test --exclude='*.a' --exclude=idlelib \
        --exclude=tkinter --exclude=site-packages --exclude='config-*' \
        lib/python"$version" $(ls -d lib/libpython3* 2>/dev/null) bin/python"$version") |
        tar x -C "$root/usr/local"
    find "$root/usr/local" -name '*.so*' -type f -exec strip -s {} + 2>/dev/null || true
    ln -sf "python$version" "$root/usr/local/bin/python3"
    ln -sf "python$version" "$root/usr/local/bin/python"
    mkdir -p "$root/usr/local/lib/python$version/site-packages"
    chroot "$root" ldconfig
    chroot "$root" /usr/local/bin/python -m ensurepip >/dev/null 2>&1
    ln -sf pip3 "$root/usr/local/bin/pip"
    local base
    base=$(buildah from scratch)
    containers+=("$base")
    # Certificates of a TLS-inspecting proxy: only in this base image, never in a Dockerfile.
    if [ -n "${SSL_CERT_FILE:-}" ]; then
        cp -L "$SSL_CERT_FILE" "$root/etc/ssl/certs/ca-certificates.crt"
        buildah config --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
            --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$base"
    fi
    buildah add -q "$base" "$root" / >/dev/null
    buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$base"
    buildah commit -q --format docker "$base" "docker.io/library/python:$tag" >/dev/null
    rm -rf "$root"
}

build() { # name, arguments of buildah bud
    local name=$1
    shift
    buildah bud --isolation chroot --pull-never --format docker --quiet \
        --build-arg "PYTHON=docker.io/library/python:$tag" \
        --build-arg "COMMIT=$commit" --tag "shelfmark-$name" "$@" >/dev/null 2>"$work/build.log" ||
        { tail -20 "$work/build.log"; fail "$name does not build"; }
}

start_of() { # the image's command, one word per line
    buildah inspect --type image "shelfmark-$1" | python3 -c '
import json, sys
config = json.load(sys.stdin)["Docker"]["config"]
print(*[*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])], sep="\n")'
}

setting_of() { # image, a key of its configuration
    buildah inspect --type image "shelfmark-$1" | python3 -c '
import json, sys
print(json.dumps(json.load(sys.stdin)["Docker"]["config"].get(sys.argv[1])))' "$2"
}

inside() { # container, arguments and command of buildah run
    local container=$1
    shift
    buildah run --isolation chroot "${given[@]}" "$container" -- "$@"
}

megabytes() { # the size as `docker images` reports it
    buildah images --format '{{.Size}}' "shelfmark-$1"
}

train_in() { # image, folder of what it makes: trains in it, and checks what it leaves
    local image=$1 folder=$2
    [ "$(setting_of "$image" User)" = '"10001"' ] || fail "the image $image runs as root"
    mkdir -m 1777 "$work/$folder"
    container=$(buildah from --pull-never "shelfmark-$image")
    containers+=("$container")
    mapfile -t command < <(start_of "$image")
    # Without a network: in a separate namespace.
    export -f buildah inside
    export CACHE
    unshare --net bash -c 'given=(--volume "$1:$2:rw"); shift 2; inside "$@"' - \
        "$work/$folder" "/training/$folder" "$container" "${command[@]}" experiment=fast name=tried
    [ -f "$work/$folder/tried/card.json" ] || fail "the training left nothing in $folder"
    grep -q "$commit" "$work/$folder/tried/card.json" || fail "the card names no commit"
}

last_child() { # the last process in a chain of wrappers
    local pid=$1 child
    while child=$(pgrep -P "$pid" | head -1) && [ -n "$child" ]; do pid=$child; done
    echo "$pid"
}

if ! buildah inspect --type image "docker.io/library/python:$tag" >/dev/null 2>&1; then
    say "base: $release with CPython $version"
    make_base
fi

say "train"
build train --file dockerfiles/train.dockerfile .
echo "$(megabytes train)"
train_in train models

if [ "${1:-}" = gpu ]; then
    say "train-gpu"
    build train-gpu --file dockerfiles/train-gpu.dockerfile .
    echo "$(megabytes train-gpu)"
    train_in train-gpu encoders
    given=()
    inside "$container" python -c 'import sentence_transformers, torch; assert torch.version.cuda'
fi

say "api"
build api --file dockerfiles/api.dockerfile .
size=$(megabytes api)
echo "$size"
python3 -c 'import sys; number, unit = sys.argv[1].split(); sys.exit(unit != "MB" or float(number) >= float(sys.argv[2]))' \
    "$size" $LARGEST || fail "the service's image has $size, $LARGEST MB at most"
[ "$(setting_of api User)" = '"10001"' ] || fail "the service's image runs as root"
[ "$(setting_of api Healthcheck)" != null ] || fail "the service's image has no health check"
container=$(buildah from --pull-never shelfmark-api)
containers+=("$container")
given=()
unwanted=$(inside "$container" python -c '
import importlib.metadata as m
print(*sorted({d.name.lower() for d in m.distributions()}), sep="\n")' | grep -E "$FORBIDDEN" || true)
[ -z "$unwanted" ] || fail "the service's image has $unwanted"
[ "$(inside "$container" id -u)" = 10001 ] || fail "the service runs as root"

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

serve_and_ask() { # container, then arguments of buildah run
    local container=$1 port
    shift
    port=$(free_port)
    mapfile -t command < <(start_of api)
    given=(--env "PORT=$port" "$@")
    inside "$container" "${command[@]}" &
    service=$!
    inside "$container" python -m shelfmark.service.probe "http://127.0.0.1:$port" 300
    inside "$container" python -m shelfmark.service.probe # the health check
    stop_service
}

stop_service() {
    local server status=0
    server=$(last_child "$service")
    kill -TERM "$server"
    wait "$service" || status=$?
    service=
    [ $status = 0 ] || fail "SIGTERM ended the service with status $status"
    if inside "$container" python -m shelfmark.service.probe 2>/dev/null; then
        fail "the health check passes though nothing runs"
    fi
}

say "api, the model mounted"
mkdir -m 1777 "$work/logs" "$work/reports"
serve_and_ask "$container" --volume "$work/models:/models:ro" --env SHELFMARK_MODEL=tried \
    --volume "$work/logs:/logs:rw" --env SHELFMARK_LOG_FOLDER=/logs

say "monitor, on what the service has logged"
build monitor --target monitor --file dockerfiles/api.dockerfile .
container=$(buildah from --pull-never shelfmark-monitor)
containers+=("$container")
port=$(free_port)
mapfile -t command < <(start_of monitor)
given=(--env "PORT=$port" --env SHELFMARK_MODEL=tried --env SHELFMARK_ADMIN_KEY=key-of-these-tries
    --volume "$work/models:/models:ro" --volume "$work/logs:/logs:ro"
    --volume "$work/reports:/reports:rw")
inside "$container" "${command[@]}" &
service=$!
python3 - "http://127.0.0.1:$port" <<'END'
import json, sys, time, urllib.error, urllib.request

url, until = sys.argv[1], time.monotonic() + 300


def asked(path, **more):
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url + path, **more), timeout=10) as answer:
                return json.load(answer)
        except OSError as error:
            if time.monotonic() > until or getattr(error, "code", 404) != 404:
                sys.exit(f"error: monitor: {path}: {error}")
            time.sleep(0.5)


asked("/health")
asked("/drift/run", method="POST", headers={"X-Admin-Key": "key-of-these-tries"})
report = asked("/drift/latest")
print(report["model"], report["verdict"])
if report["window"]["papers"] != 1:
    sys.exit(f"error: the monitor reports {report['window']}")
END
inside "$container" python -m shelfmark.service.probe /health
stop_service

say "api, the model inside"
mkdir -p "$work/context/models"
cp -r "$work/models/tried" "$work/context/models"
cp .dockerignore "$work/context"
# Only the last stage, on the existing image: without a build cache the other stages take minutes.
sed -n 's/^FROM service AS with-model/FROM localhost\/shelfmark-api/; /shelfmark-api$/,/^$/p' \
    dockerfiles/api.dockerfile >"$work/with-model.dockerfile"
build api-with-model --build-arg MODEL=tried --file "$work/with-model.dockerfile" "$work/context"
container=$(buildah from --pull-never shelfmark-api-with-model)
containers+=("$container")
serve_and_ask "$container"

say "all images pass: train $(megabytes train), api $(megabytes api), monitor $(megabytes monitor), with a model $(megabytes api-with-model)"
