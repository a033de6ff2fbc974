#!/usr/bin/env bash
# A Slurm of two nodes on this machine, with two pretended GPUs each, for the tests: start.sh FOLDER. Needs root; installs
# Debian's packages where they are missing. Everything it writes lies in FOLDER; SLURM_CONF=FOLDER/slurm.conf finds it.
set -euo pipefail
folder="$1"
mkdir -p "$folder"

if ! command -v slurmctld slurmd munged >/dev/null; then
  echo "installing Slurm (slurm-wlm, munge)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -qq -y --no-install-recommends slurm-wlm munge >"$folder/apt.log" 2>&1 ||
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends slurm-wlm munge; } >>"$folder/apt.log" 2>&1 ||
    { tail -5 "$folder/apt.log" >&2; echo "Slurm could not be installed: the tests of it need Debian and root" >&2; exit 1; }
fi

# A cluster's nodes have names that resolve.
for node in node1 node2; do
  getent hosts "$node" >/dev/null || echo "127.0.0.1 $node" >>/etc/hosts
done

mkdir -p "$folder/state"
chmod 755 "$folder"
dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
chmod 600 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"

host="$(hostname -s)"
memory="$(awk '/MemTotal/ {print int($2 / 1024 * 0.45)}' /proc/meminfo)"
# Nodes of one machine differ by port. Jobs may not be accounted, contained or measured here: none of it is needed.
# cred_expire is what a job that is put back waits for.
cat >"$folder/slurm.conf" <<CONF
ClusterName=expctl
SlurmctldHost=$host
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,defer=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
KillWait=10
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdLogFile=$folder/slurmd-%n.log
SlurmdSpoolDir=$folder/spool-%n
NodeName=node[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[16818-16819] CPUs=4 RealMemory=$memory Gres=gpu:2
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=12
PartitionName=high Nodes=ALL PriorityTier=2
CONF
# Any device files do for GPUs that nothing computes on.
echo "Name=gpu File=/dev/tty[10-11]" >"$folder/gres.conf"

export SLURM_CONF="$folder/slurm.conf"
slurmctld
slurmd -N node1
slurmd -N node2
for _ in $(seq 100); do
  [ "$(sinfo --noheader --format=%T --partition=low 2>/dev/null)" = idle ] && exit 0
  sleep 0.1
done
sinfo >&2 || true
tail --lines=3 "$folder"/*.log >&2
echo "Slurm did not start" >&2
exit 1
