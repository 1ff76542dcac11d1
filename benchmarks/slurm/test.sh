#!/usr/bin/env bash
# The templates on a real Slurm of one machine: `test.sh BIN MODEL DATASET`, where BIN is the folder of the built
# programs. Starts munged, slurmctld and slurmd of its own in a temporary folder (Debian: slurm-wlm,
# munge; as root) and stops them at the end. An array of four fills one store while one task is
# requeued in the middle and one is cancelled and submitted again; the dependent job trains; the
# store must be byte-identical to one that a single process wrote.
set -euo pipefail

[ $# -eq 3 ] || { echo "usage: $0 BIN MODEL DATASET" >&2; exit 1; }
bin=$(realpath "$1") model=$(realpath "$2") dataset=$(realpath "$3")
here=$(dirname "$(realpath "$0")")
for program in munged mungekey slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v "$program" > /dev/null || { echo "skipped: there is no $program here (Debian: slurm-wlm, munge)"; exit 0; }
done
[ "$(id -u)" -eq 0 ] || { echo "skipped: a Slurm of our own needs root"; exit 0; }

work=$(mktemp -d)
chmod 755 "$work"
export PATH=$bin:$PATH:/usr/sbin SLURM_CONF=$work/slurm.conf
finish() {
    status=$?
    scancel --user root 2> /dev/null || true
    for daemon in slurmd slurmctld munged; do
        [ ! -f "$work/$daemon.pid" ] || kill "$(cat "$work/$daemon.pid")" 2> /dev/null || true
    done
    if [ "$status" -ne 0 ]; then tail -n 30 "$work"/*.log "$work"/jobs/*.log 2> /dev/null || true; fi
    sleep 1
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT

host=$(hostname -s)
mkdir "$work/state" "$work/spool" "$work/jobs" "$work/munge"
mungekey --create --keyfile="$work/munge/key"
if ! munged --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge/seed"; then
    echo "skipped: munged does not start on this machine"
    exit 0
fi
cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=26817
SlurmdPort=26818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=20
JobRequeue=1
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld || true
slurmd || true
waited=0
until sinfo -h -o %t 2> /dev/null | grep -q idle; do
    sleep 1
    waited=$((waited + 1))
    if [ "$waited" -ge 60 ]; then
        # Some containers do not let them: that says nothing about the templates.
        tail -n 5 "$work"/slurmctld.log "$work"/slurmd.log 2> /dev/null || true
        echo "skipped: slurmctld and slurmd do not come up on this machine"
        exit 0
    fi
done
echo "Slurm $(slurmctld -V | cut -d' ' -f2) is up"

# What is requeued, Slurm lets wait for two minutes; here it need not.
at_once() {
    squeue -h -t PD -o '%i %r' | while read -r job reason; do
        [ "$reason" != BeginTime ] || scontrol update "JobId=$job" StartTime=now 2> /dev/null || true
    done
}
# `wait_until SECONDS WHAT COMMAND`: until the command succeeds.
wait_until() {
    local waited=0
    until eval "$3"; do
        at_once
        sleep 1
        waited=$((waited + 1))
        [ "$waited" -lt "$1" ] || { squeue; echo "$2" >&2; exit 1; }
    done
}
all_ended() { [ -z "$(squeue -h)" ]; }

# Small parts, so that there is a middle to be interrupted in.
export EXTRACTOR_PART_BYTES=2000000 EXTRACTOR_FILE_BYTES=1000000 EXTRACTOR_CHUNK_BYTES=200000 EXTRACTOR_DEVICE=cpu TRAINER_DEVICE=cpu
extractor --model "$model" --dataset "$dataset" --out "$work/alone" --threads 1 --quiet
echo "one process wrote $(find "$work/alone" -name 'c.*.0.0' | wc -l) files"

cd "$work/jobs"
export MODEL=$model DATASET=$dataset OUT=$work/cache RUNS=$work/runs EPOCHS=3 EXTRACTOR_THREADS=1
array=$(sbatch --parsable "$here/extract.sbatch")
# The node has a disk of its own, as some clusters say in this variable.
mkdir "$work/node"
training=$(SLURM_TMPDIR=$work/node sbatch --parsable --dependency="afterok:$array" --cpus-per-task=1 "$here/train.sbatch")
records() { find "$work/cache" -path '*/progress/*.json' 2> /dev/null | wc -l; }
until [ "$(records)" -ge 2 ]; do sleep 0.1; done
scontrol requeue "${array}_1"
scancel "${array}_2"
echo "requeued task 1, cancelled task 2 after $(records) parts"
# Cancelled is not ok: the dependent job would wait for ever, as it should. The share is submitted again, and the
# training made to wait for that too.
again=$(EXTRACTOR_SHARD=2/4 sbatch --parsable --array=2 "$here/extract.sbatch")
scontrol update "JobId=$training" "Dependency=afterany:$array,afterok:$again"

wait_until 300 "the jobs did not end" all_ended
diff -r "$work/alone" "$work/cache"
echo "the array's store is byte-identical to that of one process"
grep -q "restart 1" "extract-${array}_1.log"
echo "task 1 told of its restart"
[ -s "$work/runs/adapter/adapter.safetensors" ]
[ -s "$work/runs/adapter/report.html" ]
grep -q "^Store $work/node/cache/" "train-$training.log"
echo "the dependent job copied the store to its node and trained a head"

# Told to stop, as by a preemption: exit 75, requeued, ended as if nothing had been. Meanwhile a
# training that takes for ever runs into its time limit of a minute, which it hears of before.
seeds=$(EPOCHS=20 sbatch --parsable "$here/seeds.sbatch")
limited=$(EPOCHS=100000 sbatch --parsable --array=9 --time=1 --signal=TERM@10 "$here/seeds.sbatch")
wait_until 120 "seed 1 did not begin" '[ -s "$work/runs/seed-1/last/state.json" ]'
scancel --signal=TERM "${seeds}_1"
trained() { [ -s "$work/runs/seed-1/report.html" ] && [ -s "$work/runs/seed-2/report.html" ] && [ -s "$work/runs/seed-3/report.html" ]; }
wait_until 300 "the seeds did not end" trained
grep -q "restart 1" "seeds-${seeds}_1.log"
echo "three seeds, one of them told to stop and requeued, are trained"
wait_until 300 "the time limit did not come" 'grep -q "restart 2" "seeds-${limited}_9.log"'
scancel "$limited"
wait_until 60 "the training without end did not end" all_ended
grep -E "restart|Going on|Stopped" "seeds-${limited}_9.log"
if grep "TIME LIMIT" "seeds-${limited}_9.log"; then echo "Slurm ended it before it had stopped" >&2; exit 1; fi
echo "a training went on after its time limit, twice"
echo "Slurm: all passed"
