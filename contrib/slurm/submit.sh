#!/bin/bash
# Sends a list of memory images to a Slurm cluster: an array of tasks, a part of the images each, and behind it a job that sums up.
#
#   submit.sh LIST OUT [-a SBATCH-OPTION]... [-n PARTS] [-- ETLIFT-OPTION...]
#
# LIST names images, one a line, by paths that every node sees; OUT is a folder that every node sees. -n: into how many parts (default: one for each image,
# at most 1000). -a: an option for sbatch, as often as wanted (-a --partition=dfir -a --mem=8G -a --time=2:00:00). ETLIFT names the program when it is not
# in the PATH of the nodes. Prints the numbers of the array and of the job that sums up; OUT/batch.json and OUT/batch.csv are there when that one has ended.
# The same call again does what is left.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
[ -r "$1" ] || { echo "submit.sh: $1: can't be read" >&2; exit 2; }
list=$(realpath "$1") out=$(realpath -m "$2") parts="" args=()
shift 2
while [ $# -gt 0 ]; do
	case $1 in
	-a) args+=("${2:?"-a: an option is missing"}"); shift 2 ;;
	-n) parts=${2:?"-n: a number is missing"}; shift 2 ;;
	--) shift; break ;;
	*) usage ;;
	esac
done
images=$(tr -d '\r' <"$list" | grep -cv -e '^#' -e '^$') || { echo "submit.sh: $list: names no image" >&2; exit 2; }
parts=${parts:-$((images < 1000 ? images : 1000))}
[ "$parts" -ge 1 ] && [ "$parts" -le 1000000 ] || usage
mkdir -p "$out" "$out.logs"
# sbatch runs the tasks in this folder: paths in the list may be relative to it
export ETLIFT_LIST=$list ETLIFT_OUT=$out ETLIFT_PARTS=$parts ETLIFT=${ETLIFT:-etlift}
array=$(sbatch --parsable --array="1-$parts" --output="$out.logs/%A_%a.log" --export=ALL "${args[@]}" "$here/etlift-array.sbatch" "$@")
array=${array%%;*}
# afterany: it sums up whatever has become of the parts; its exit status is the worst of all images
sum=$(sbatch --parsable --dependency="afterany:$array" --job-name=etlift-sum --output="$out.logs/%j-sum.log" --export=ALL "${args[@]}" "$here/etlift-array.sbatch" "$@")
echo "$array ${sum%%;*}"
