#!/usr/bin/env bash
# Decoding: the biggest real traces to each format, beside cat of the same file, and beside `jq -c .` that only prints the same JSON lines again; one
# trace ten times, whose memory must not be ten times as much. From bench/run.sh.
# DIR: where output is made; ETLIFT: the program; ETLIFT_DATA: the folder of real files (../shared/data).
set -eu
etl=${ETLIFT_DATA:-../shared/data}/etl
[ -d "$etl" ] || { echo "events: no real traces here: skipped"; exit 0; }
python=/usr/bin/python3
[ -x $python ] || python=python3
# run.sh's own, or, when this is run alone, the same from there
[ -f "$DIR/time.py" ] || sed -n '/^cat >"$dir\/time.py"/,/^PY$/p' bench/run.sh | sed '1d;$d' >"$DIR/time.py"
measure() { $python "$DIR/time.py" 5 "$@"; }
row() { printf '%-58s %9s s  %6s MiB   %s\n' "$1" "$2" "$3" "$4"; }
rate() { awk -v n="$1" -v s="$2" 'BEGIN { printf "%.0f events/s", n / s }'; }
times() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

mapfile -t files < <(ls -S "$etl"/*.etl | head -n 3)
for f in "${files[@]}"; do
	"$ETLIFT" events "$f" -o "$DIR/events.jsonl"
	n=$(wc -l <"$DIR/events.jsonl")
	read -r cat_s _ <<<"$(measure cat "$f")"
	read -r s m <<<"$(measure "$ETLIFT" events "$f")"
	row "events, $(basename "$f") ($n)" "$s" "$m" "$(rate "$n" "$s"), $(times "$s" "$cat_s") times cat of the trace"
	if command -v jq >/dev/null; then
		read -r jq_s _ <<<"$(measure jq -c . "$DIR/events.jsonl")"
		row "  jq -c . of its JSON lines" "$jq_s" "" "$(times "$jq_s" "$s") times as long as events (aim: at least 1.00)"
	fi
done
f=${files[0]}
n=$("$ETLIFT" events "$f" | wc -l)
for format in csv xml timesketch evtx; do
	read -r s m <<<"$(measure "$ETLIFT" events "$f" --format $format -o "$DIR/events.$format")"
	row "events --format $format (to a file)" "$s" "$m" "$(rate "$n" "$s")"
done
ten=()
for i in 0 1 2 3 4 5 6 7 8 9; do
	ln -sf "$(realpath "$f")" "$DIR/ten$i.etl"
	ten+=("$DIR/ten$i.etl")
done
read -r _ one_m <<<"$(measure "$ETLIFT" events "$f")"
read -r s m <<<"$($python "$DIR/time.py" 1 "$ETLIFT" events "${ten[@]}")"
row "events, ten times the biggest" "$s" "$m" "$(rate $((10 * n)) "$s"), memory $(times "$m" "$one_m") times that of one"
rm -f "$DIR"/events.* "$DIR"/ten?.etl
