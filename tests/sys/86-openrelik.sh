#!/usr/bin/env bash
# contrib/openrelik with a real Celery worker on a real Redis of our own: tasks by name and with arguments as OpenRelik sends them; files and results in its
# formats. With openrelik-worker-common when it can be imported, or stands in $OPENRELIK_COMMON; else with a small stand-in (tests/openrelik).
set -u
cd "$SCRATCH" || exit 1
py=/usr/bin/python3
command -v redis-server >/dev/null && $py -c 'import celery, redis' 2>/dev/null ||
	{ echo "Celery or Redis is missing: apt-get install redis-server python3-celery python3-redis"; [ -n "${CI:-}" ] && exit 1; exit 77; }
fail=0
bad() { echo "$*"; fail=1; }
lib=${OPENRELIK_COMMON:-}
[ -n "$lib" ] || $py -c 'import openrelik_worker_common.task_utils' 2>/dev/null || lib=$TOP/tests/openrelik
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1 ETLIFT
$py -c 'import openrelik_worker_common as o; print("openrelik_worker_common:", "stand-in" if "Stands in" in (o.__doc__ or "") else "the real one")' || exit 1

# ---- Redis and the worker -----------------------------------------------------------------------------------------------------------------------
port=$($py -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export REDIS_URL=redis://127.0.0.1:$port/0
redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no --dir "$SCRATCH" >redis.log 2>&1 </dev/null &
redis=$!
# OpenRelik's own command, but for the number of tasks at once
(cd "$TOP/contrib/openrelik" && exec $py -m celery --app=src.app worker --task-events --concurrency=1 --loglevel=INFO -Q openrelik-worker-etlift) >worker.log 2>&1 </dev/null &
worker=$!
trap 'kill $worker 2>/dev/null; wait $worker 2>/dev/null; kill $redis 2>/dev/null; wait 2>/dev/null' EXIT
for ((i = 0; i < 300; i++)); do grep -q ' ready\.' worker.log && break; sleep 0.2; done
grep -q 'openrelik-worker-etlift.tasks.recover' worker.log || { tail -n 20 worker.log redis.log; exit 1; }

# ---- images: OpenRelik keeps files under UUIDs --------------------------------------------------------------------------------------------------
mkdir data
sed 's/mib=96/mib=24/; s/^buffer form=full.*//; s/large=1//' "$TOP/testdata/recipes/demo.recipe" >small.recipe
"$TOOLS/mkdump" small.recipe whole || exit 1
mkdir set
split -b 9000000 -d -a 3 --numeric-suffixes=1 whole set/case.raw.
"$ETLIFT" recover -q whole -o alone || exit 1
"$ETLIFT" recover -q set/case.raw.001 -o alone.set || exit 1
[ "$(ls set | wc -l)" = 3 ] || exit 1

$py - whole set alone alone.set <<'PY' || fail=1
import base64, glob, hashlib, json, os, shutil, sys, uuid
from celery import Celery

whole, pieces, alone, alone_set = sys.argv[1:]
app = Celery(broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
TASK, QUEUE = "openrelik-worker-etlift.tasks.recover", "openrelik-worker-etlift"
number = 0


def stored(path, name):
    """A file as OpenRelik's server describes it to workers."""
    global number
    number += 1
    u = uuid.uuid4().hex
    ext = os.path.splitext(name)[1]
    to = os.path.abspath(os.path.join("data", u + ext))
    shutil.copy(path, to)
    return {"id": number, "uuid": u, "display_name": name, "extension": ext, "data_type": "file:generic", "mime_type": None, "path": to}


def run(out, files, config=None, pipe=None):
    os.makedirs(out)
    sent = app.send_task(TASK, queue=QUEUE, kwargs={"pipe_result": pipe, "input_files": files, "output_path": os.path.abspath(out), "workflow_id": "wf-" + out,
                                                    "task_config": config or {}})
    text = sent.get(timeout=120)
    result = json.loads(base64.b64decode(text))
    assert set(result) >= {"output_files", "workflow_id", "task_files", "command", "meta", "file_reports", "task_report"}, result.keys()
    assert result["workflow_id"] == "wf-" + out
    for f in result["output_files"] + result["task_files"]:
        assert set(f) == {"uuid", "display_name", "extension", "data_type", "path", "original_path", "source_file_id"}, f
        assert os.path.dirname(f["path"]) == os.path.abspath(out) and os.path.basename(f["path"]) == f["uuid"] + f["extension"] and os.path.isfile(f["path"]), f
        assert f["data_type"].startswith("openrelik:etlift:"), f
    left = set(os.listdir(out)) - {os.path.basename(f["path"]) for f in result["output_files"] + result["task_files"]}
    assert not left, "not named in the result: %r" % left
    return result, text


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def traces(result, source):
    return {os.path.basename(f["original_path"]): digest(f["path"]) for f in result["output_files"] if f["source_file_id"] == source and f["extension"] == ".etl"}


def on_disk(folder):
    return {os.path.basename(p): digest(p) for p in glob.glob(folder + "/sessions/*.etl")}


good = stored(whole, "dc01.raw")
again = stored(whole, "dc01.raw")
broken = stored("small.recipe", "../no|tes.txt")
segments = [stored(p, os.path.basename(p)) for p in sorted(glob.glob(pieces + "/*"))]
result, text = run("one", [good, again, broken] + segments, {"events": True})
assert traces(result, good["id"]) == on_disk(alone) and len(on_disk(alone)) == 6
assert traces(result, again["id"]) == on_disk(alone)
assert traces(result, segments[0]["id"]) == on_disk(alone_set), "the set"
assert result["meta"]["images"] == 4 and list(result["meta"]["failed"]) == ["../no|tes.txt"], result["meta"]
assert result["meta"]["failed"]["../no|tes.txt"] == "a text file, not a memory image"
report = result["task_report"]
assert report["priority"] == 20 and "1 failed" in report["summary"] and report["content"].count("\n|") == 6, report
events = [f for f in result["output_files"] if f["data_type"] == "openrelik:etlift:timesketch"]
assert len(events) == 3
lines = [json.loads(line) for line in open(events[0]["path"], encoding="utf-8")]
assert len(lines) > 500 and all({"message", "datetime", "timestamp_desc"} <= set(e) for e in lines), lines[0]
doc = [f for f in result["output_files"] if f["display_name"] == "dc01.raw-report.json"]
assert len(doc) == 2 and json.load(open(doc[0]["path"]))["schema"] == "etlift/report/1"
assert {f["display_name"] for f in result["task_files"] if f["source_file_id"] == good["id"]} == {"dc01.raw-job.json", "dc01.raw-log.txt"}

# a worker before this one in the chain hands its files on, in its result
pipe = base64.b64encode(json.dumps({"output_files": [dict(good, source_file_id=None)], "workflow_id": "x"}).encode()).decode()
result, _ = run("two", [broken], {"no-residual": True, "events": False}, pipe)
assert traces(result, good["id"]) == {n: d for n, d in on_disk(alone).items() if "residual" not in n}
assert result["command"] == "etlift batch --no-residual" and result["meta"]["failed"] == {} and result["task_report"]["priority"] == 5

for files in ([broken], []):
    try:
        run("bad%d" % len(files), files)
        sys.exit("a task without a result has not failed")
    except Exception as e:
        assert ("no image gave anything" if files else "no input file") in str(e), e
    assert not os.listdir("bad%d" % len(files))
print("%d events sent, %d tasks" % (len(lines), 4))
PY
grep -q 'dc01.raw: 5 sessions' worker.log || bad "the worker's log says nothing of progress"
[ $fail = 0 ] || tail -n 30 worker.log
exit $fail
