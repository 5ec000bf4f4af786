#!/usr/bin/env bash
# contrib/slurm on a real Slurm: munged, slurmctld and three slurmd of our own on this machine, in private folders. An array over 20 images of which 2 are
# broken; one task is requeued while it runs, then its node dies under it. The end result equals that of `etlift batch` byte for byte,
# the two broken ones are named, and Slurm's own books say the same.
set -u
cd "$SCRATCH" || exit 1
for p in munged slurmctld slurmd sbatch scontrol squeue sinfo; do
	PATH=$PATH:/usr/sbin command -v $p >/dev/null || { echo "$p is missing: apt-get install slurmctld slurmd slurm-client munge"; [ -n "${CI:-}" ] && exit 1; exit 77; }
done
PATH=$PATH:/usr/sbin:/sbin
fail=0
bad() { echo "$*"; fail=1; }
host=$(hostname -s)
me=$(id -un)
ports=($(/usr/bin/python3 -c '
import socket
held = [socket.socket() for _ in range(4)]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])'))

# ---- the cluster -----------------------------------------------------------------------------------------------------------------------------
mkdir -p munge state spool1 spool2 spool3
chmod 700 munge
head -c 1024 /dev/urandom >munge/key
chmod 400 munge/key
cat >slurm.conf <<C
ClusterName=etlift-test
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$SCRATCH/munge/socket,cred_expire=5
CryptoType=crypto/munge
SlurmUser=$me
SlurmdUser=$me
SlurmctldPort=${ports[0]}
StateSaveLocation=$SCRATCH/state
SlurmdSpoolDir=$SCRATCH/spool-%n
SlurmctldPidFile=$SCRATCH/slurmctld.pid
SlurmdPidFile=$SCRATCH/slurmd-%n.pid
SlurmctldLogFile=$SCRATCH/slurmctld.log
SlurmdLogFile=$SCRATCH/slurmd-%n.log
SlurmctldTimeout=10
SlurmdTimeout=4
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=2
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$SCRATCH/done.txt
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1,batch_sched_delay=0
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=1 State=UNKNOWN
NodeName=n3 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[3]} CPUs=1 State=UNKNOWN
PartitionName=dfir Nodes=ALL Default=YES MaxTime=INFINITE State=UP
C
export SLURM_CONF=$SCRATCH/slurm.conf
stop_pid() { [ -s "$1" ] && kill -9 "$(cat "$1")" 2>/dev/null; }
# our slurmstepd (their environment is overwritten by their title)
steps() { for p in $(pgrep -x slurmstepd); do case $(readlink "/proc/$p/cwd") in "$SCRATCH"*) echo "$p" ;; esac; done; }
# everything else that was started here carries the name of our slurm.conf in its environment
# shellcheck disable=SC2329
cleanup() {
	for f in slurmd-n1.pid slurmd-n2.pid slurmd-n3.pid slurmctld.pid munge/pid; do stop_pid $f; done
	for p in $(steps); do kill -9 "$p" 2>/dev/null; done
	for p in $(grep -lzsFx "SLURM_CONF=$SCRATCH/slurm.conf" /proc/[0-9]*/environ | cut -d/ -f3); do [ "$p" = $$ ] || kill -9 "$p" 2>/dev/null; done
	return 0
}
trap cleanup EXIT
wait_for() { # SECONDS WHAT COMMAND...
	local n=$(($1 * 5)) what=$2
	shift 2
	while ! "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ $n -gt 0 ] || { echo "$what: not within its time"; sinfo -N; squeue -o '%i %T %R'; tail -n 15 slurmctld.log slurmd-n*.log; exit 1; }
		sleep 0.2
	done
}
munged --force --key-file="$SCRATCH/munge/key" --socket="$SCRATCH/munge/socket" --pid-file="$SCRATCH/munge/pid" --seed-file="$SCRATCH/munge/seed" \
	--log-file="$SCRATCH/munge/log" </dev/null || { cat munge/log; exit 1; }
slurmctld -c </dev/null || exit 1
for n in 1 2 3; do slurmd -N n$n -c </dev/null || exit 1; done
all_idle() { [ "$(sinfo -h -N -o %T | grep -cx idle)" = 3 ]; }
wait_for 30 "three idle nodes" all_idle
echo "$(slurmctld -V), $(sinfo -h -o '%D nodes')"

# ---- 20 images, 2 of them broken ------------------------------------------------------------------------------------------------------------------
mkdir in
sed 's/mib=96/mib=24/; s/^buffer form=full.*//; s/large=1//' "$TOP/testdata/recipes/demo.recipe" >small.recipe
for ((i = 1; i <= 18; i++)); do
	sed "s/seed=42/seed=$i/" small.recipe >one.recipe
	"$TOOLS/mkdump" one.recipe "in/image-$i.raw" || exit 1
done
truncate -s 1000M in/broken-long.raw # zeros: takes some seconds, and holds no kernel
echo "no image" >in/broken-text.raw
ls in/broken-long.raw in/*.raw | awk '!seen[$0]++' >list.txt
[ "$(wc -l <list.txt)" = 20 ] || exit 1

ids=$("$TOP/contrib/slurm/submit.sh" list.txt out 2>err.txt) || { cat err.txt; exit 1; }
export ETLIFT
array=${ids% *} sum=${ids#* }
at_it() { # is the first task at its image, for the (N+1)th time?
	grep -q "restarted $1 times" "out.logs/${array}_1.log" && [ -e out/.lock-broken-long.raw ] && squeue -h -t R -o '%i' | grep -qx "${array}_1"
}
# the first task is requeued while it is at its image; then its node dies under it, with all that runs there, and comes back
wait_for 30 "the first task" at_it 0
echo "requeue, $SECONDS s"
scontrol requeue "${array}_1" || bad "requeue"
wait_for 60 "the first task again" at_it 1
node=$(squeue -h -t R -o '%i %N' | sed -n "s/^${array}_1 //p")
echo "node $node dies, $SECONDS s"
stop_pid "slurmd-$node.pid"
for p in $(grep -lzsFx "SLURMD_NODENAME=$node" /proc/[0-9]*/environ | cut -d/ -f3); do grep -qzsFx "SLURM_CONF=$SLURM_CONF" "/proc/$p/environ" && kill -9 "$p"; done
for p in $(steps); do kill -9 "$p"; done
ended() { [ -z "$(squeue -h)" ]; }
wait_for 100 "the end of the array" ended

# ---- what must have come out of it -----------------------------------------------------------------------------------------------------------------
grep -q 'restarted 2 times' out.logs/"${array}"_1.log || bad "the requeued task: $(cat out.logs/"${array}"_1.log)"
[ "$(grep -h '^part' out.logs/*.log | grep -o 'on n[1-3]' | sort -u | wc -l)" -ge 2 ] || bad "only one node worked"
"$ETLIFT" batch --list list.txt -o plain -q 2>/dev/null
[ $? = 4 ] || bad "the batch that it is compared with"
diff -r plain out || bad "another result than that of etlift batch"
ls -A out | grep '^\.' && bad "working folders are left"
[ "$(jq -c '[.images[]|select(.exit!=0)|[.folder,.exit]]' out/batch.json)" = '[["broken-long.raw",4],["broken-text.raw",3]]' ] || bad "the broken ones: $(jq -c .totals out/batch.json)"
[ "$(jq .totals.images out/batch.json)" = 20 ] || bad "20 images"
grep -q 'broken-text.raw: 9 bytes are too few' out.logs/"$sum"-sum.log && grep -q '2 of 20 images failed' out.logs/"$sum"-sum.log || bad "the sum's log: $(cat out.logs/"$sum"-sum.log)"
/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" out/batch.json out/*/job.json || bad "schema"
# Slurm's books: the tasks of the broken ones and the sum have failed with the exit status of the image, all others are complete
[ "$(grep -c 'JobState=COMPLETED' done.txt)" = 18 ] || bad "complete: $(grep -c 'JobState=COMPLETED' done.txt)"
[ "$(grep 'JobState=FAILED' done.txt | grep -o ' ExitCode=[0-9]*' | sort | tr -d ' ' | tr '\n' ' ')" = "ExitCode=3 ExitCode=4 ExitCode=4 " ] || bad "failed: $(grep JobState=FAILED done.txt)"
# once more: nothing is left to do
touch -d 2001-01-01 out/image-5.raw
"$TOP/contrib/slurm/submit.sh" list.txt out -n 3 -a --nice=1 >/dev/null || bad "submit again"
wait_for 60 "the second array" ended
[ "$(date -r out/image-5.raw +%Y)" = 2001 ] || bad "done again"
diff -r plain out || bad "a second time: another result"
"$TOP/contrib/slurm/submit.sh" /nowhere out 2>/dev/null
[ $? = 2 ] || bad "a list that is not there"
exit $fail
