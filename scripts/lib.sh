# Sourced by the other scripts: where things lie, root, the settings, and processes kept in the background.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run_dir=${GPUDOCK_RUN_DIR:-$root/.run}
state_dir=${GPUDOCK_STATE_DIR:-/var/lib/gpudock}
python=$root/.venv/bin/python
# A plain user's PATH, and that of `su`, lacks the directories of dockerd and ip.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { echo "gpudock: $*"; }
fail() { echo "gpudock: $*" >&2; exit 1; }

# Layers are root's, so the service is too; -E because the settings are in the environment.
as_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || fail "this needs root; run it as root or install sudo"
    exec sudo -E -- "$0" "$@"
}

# --- settings, the same for the service and for doctor ---------------------------------------------------------

settings() {
    export GPUDOCK_BIND=${GPUDOCK_BIND:-127.0.0.1:2378}
    export GPUDOCK_ETCD=${GPUDOCK_ETCD:-127.0.0.1:2379}
    export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}
    # All addresses are served on loopback too.
    url=http://$(sed -E 's/^(0\.0\.0\.0)?:/127.0.0.1:/; s/^\[::\]:/[::1]:/' <<<"$GPUDOCK_BIND")
    export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,::1"
}

# NVML, or simulated GPUs on a machine that has none. A driver that is loaded but does not answer is a fault to be
# mended: to pretend GPUs then would hide the real ones.
choose_gpus() {
    if [ -z "${GPUDOCK_GPUS:-}" ]; then
        if "$python" -c 'import pynvml as n; n.nvmlInit(); raise SystemExit(not n.nvmlDeviceGetCount())' 2>/dev/null
        then GPUDOCK_GPUS=nvml
        elif [ -e /proc/driver/nvidia/version ]
        then fail "the NVIDIA driver is loaded but NVML does not answer: see nvidia-smi, or set GPUDOCK_GPUS=simulated:8"
        else GPUDOCK_GPUS=simulated:8
        fi
    fi
    export GPUDOCK_GPUS
}

choose_token() {
    [ -z "${GPUDOCK_TOKEN:-}" ] || return 0
    [ -s "$run_dir/token" ] || (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$run_dir/token")
    GPUDOCK_TOKEN=$(<"$run_dir/token")
    export GPUDOCK_TOKEN
}

# --- processes in the background -------------------------------------------------------------------------------

# A process by number, start time and boot: after a reboot or long enough, a number alone is somebody else's.
identity() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -r -a stat <<<"${stat##*) }"    # what follows the command's name, which may hold spaces and parentheses
    [ "${stat[0]}" != Z ] || return 1
    echo "$1 ${stat[19]} $(</proc/sys/kernel/random/boot_id)"
}

# Whether the process that start() called NAME still lives.
alive() {
    local noted
    noted=$(cat "$run_dir/$1.pid" 2>/dev/null) || return 1
    [ -n "$noted" ] && [ "$(identity "${noted%% *}")" = "$noted" ]
}

# start NAME COMMAND...: in a session of its own, so that no Ctrl-C or closed terminal reaches it, and without the
# lock (descriptor 9), which would otherwise be held for as long as it lives.
start() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$run_dir/$name.log" 2>&1 9>&- &
    identity $! >"$run_dir/$name.pid" || true    # gone already: wait_until says why
}

# wait_until NAME SECONDS COMMAND...: until the command succeeds; fails when NAME dies or the time is up.
wait_until() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! alive "$name" || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 80 "$run_dir/$name.log" >&2
            stop "$name" 10 || true
            fail "$name did not come up; the end of $run_dir/$name.log is above"
        fi
        sleep 0.1
    done
}

# stop NAME SECONDS: asks the process to end, kills it when the time is up; fails if there was nothing to stop.
stop() {
    local name=$1 deadline=$((SECONDS + $2)) pid
    alive "$name" || { rm -f "$run_dir/$name.pid"; return 1; }
    read -r pid _ <"$run_dir/$name.pid"
    kill -TERM "$pid" 2>/dev/null || true
    while alive "$name"; do
        [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.1
    done
    rm -f "$run_dir/$name.pid"
}

take_lock() {
    mkdir -p "$run_dir"
    exec 9>"$run_dir/lock"
    flock 9
}
