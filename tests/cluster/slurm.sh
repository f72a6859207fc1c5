#!/usr/bin/env bash
# A SLURM of two nodes with one pretended GPU each, on this machine's loopback: no systemd, no
# cgroups, no accounting. Run as root on Debian.
#
#   slurm.sh install   fetch Debian's packages that are missing
#   slurm.sh start     start the daemons, and wait until both nodes answer
#   slurm.sh stop      cancel the jobs, end the daemons that `start` started, remove their files
set -euo pipefail

DIR=/tmp/equitune-slurm
CONF=$DIR/slurm.conf
# SLURM_CONF in the environment would not do: jobs call srun without the variables of SLURM
SYSTEM=/etc/slurm/slurm.conf
PORT=26917
NODES=(node1 node2)
PACKAGES=(slurmctld slurmd slurm-client munge)
PATH=$PATH:/usr/sbin

fail() {
    echo "slurm.sh: $*" >&2
    exit 1
}

install() {
    local missing=()
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null \
        || fail "the cluster's tests need root and Debian's packages: apt-get install ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

configure() {
    local host i
    host=$(hostname -s)
    mkdir -p "$DIR"
    chmod 755 "$DIR"  # munged wants its socket where all can reach it
    (umask 077 && head -c 1024 /dev/urandom > "$DIR/munge.key")
    cat > "$CONF" << END
ClusterName=equitune
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket
# loopback only
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool.%n
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.%n.pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.%n.log
# plugins that need no cgroups
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
# a job that takes more memory than it asked for is ended, as cgroups would
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
# without accounting, this is where squeue finds what has become of a job
MinJobAge=3600
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# what no node can ever run is refused, not left waiting
EnforcePartLimits=ALL
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
GresTypes=gpu
END
    for i in "${!NODES[@]}"; do
        echo "NodeName=${NODES[i]} NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + i + 1))" \
            "CPUs=2 RealMemory=8000 Gres=gpu:1 State=UNKNOWN" >> "$CONF"
    done
    printf "PartitionName=%s Nodes=ALL MaxTime=60 State=UP\n" cpu gpu >> "$CONF"
    # CUDA_VISIBLE_DEVICES is set for a device only, whatever the device is
    mknod "$DIR/gpu" c 1 3
    echo "Name=gpu Flags=nvidia_gpu_env File=$DIR/gpu" > "$DIR/gres.conf"
    mkdir "$DIR/state" "${NODES[@]/#/$DIR/spool.}"
}

# pid NAME FILE: the process of that name whose id is in the file
pid() {
    local id
    [ -s "$2" ] && id=$(< "$2") && [ "$(cat "/proc/$id/comm" 2> /dev/null)" = "$1" ] && echo "$id"
}

# wait_for WHAT COMMAND...: up to 20 seconds until the command succeeds
wait_for() {
    local what=$1
    shift
    for _ in {1..100}; do
        "$@" > /dev/null 2>&1 && return
        sleep 0.2
    done
    tail -n 3 "$DIR"/*.log >&2 || true
    fail "waited in vain for $what"
}

nodes_idle() { [ "$(sinfo --noheader --Node --states=idle --partition=cpu | wc -l)" -eq ${#NODES[@]} ]; }

no_jobs() { [ -z "$(squeue --noheader)" ]; }

ended() { [ ! -e "/proc/$1" ]; }

ours() { [ "$(readlink "$SYSTEM")" = "$CONF" ]; }

start() {
    [ "$(id -u)" -eq 0 ] || fail "root is needed to start SLURM's daemons"
    for command in slurmctld slurmd squeue munged; do
        command -v "$command" > /dev/null || fail "$command is missing: slurm.sh install, or apt-get install ${PACKAGES[*]}"
    done
    [ ! -e "$SYSTEM" ] || ours || fail "$SYSTEM is there already: this machine has a SLURM of its own"
    stop  # what an earlier run that was killed left
    trap '[ $? -eq 0 ] || stop' EXIT
    configure
    mkdir -p "${SYSTEM%/*}"
    ln -sfn "$CONF" "$SYSTEM"
    munged --key-file="$DIR/munge.key" --socket="$DIR/munge.socket" --pid-file="$DIR/munged.pid" \
        --log-file="$DIR/munged.log" --seed-file="$DIR/munge.seed"
    wait_for munged test -S "$DIR/munge.socket"
    slurmctld -c -f "$CONF"
    wait_for slurmctld scontrol ping
    for node in "${NODES[@]}"; do slurmd -N "$node" -f "$CONF"; done
    wait_for "the nodes" nodes_idle
}

stop() {
    local id
    if pid slurmctld "$DIR/slurmctld.pid" > /dev/null; then
        scancel --user="$(id -un)"
        wait_for "the jobs to end" no_jobs
    fi
    for daemon in "${NODES[@]/#/slurmd.}" slurmctld munged; do
        id=$(pid "${daemon%%.*}" "$DIR/$daemon.pid") || continue
        kill "$id"
        wait_for "$daemon to end" ended "$id"
    done
    if ours; then rm "$SYSTEM"; fi
    rm -rf "$DIR"
}

case ${1:-} in
    install | start | stop) "$1" ;;
    *) fail "usage: slurm.sh install | start | stop" ;;
esac
