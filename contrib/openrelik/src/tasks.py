"""OpenRelik task: ETW traces out of Windows memory images, by `etlift batch`.

Files of a workflow have UUIDs as names. For etlift they stand in a folder under their display names, so that the segments of a set (.E01 .E02, .001 .002) and
a state file beside its memory (.vmem .vmss) find each other. One bad image is named in the task's report and costs nothing else; a task fails when no image
gave anything.
"""

import json
import os
import shutil
import subprocess
import tempfile

from celery.utils.log import get_task_logger
from openrelik_worker_common.file_utils import create_output_file
from openrelik_worker_common.reporting import MarkdownTable, Priority, Report
from openrelik_worker_common.task_utils import create_task_result, get_input_files

from .app import celery

TASK_NAME = "openrelik-worker-etlift.tasks.recover"

# Flags of etlift that the user may set in the workflow.
FLAGS = {
    "carve": "Also carve buffers of stopped sessions and of deleted trace files out of all memory",
    "deep": "Also search all memory when the kernel's lists have led to sessions",
    "no-residual": "Leave out events of an earlier use of a buffer",
}
TASK_METADATA = {
    "display_name": "etlift: ETW traces from memory",
    "description": "Recovers the trace sessions (.etl) and events of a Windows memory image",
    "task_config": [
        {"name": name, "label": name, "description": text, "type": "checkbox", "required": False}
        for name, text in FLAGS.items()
    ]
    + [
        {
            "name": "events",
            "label": "events",
            "description": "Also decode all events to JSON lines for Timesketch",
            "type": "checkbox",
            "required": False,
        }
    ],
}

# What an output file is, by its name in the folder of an image.
DATA_TYPES = {
    ".etl": "openrelik:etlift:etl",
    "report.json": "openrelik:etlift:report",
    "report.html": "openrelik:etlift:html",
    "events.timesketch.jsonl": "openrelik:etlift:timesketch",
}
LOGS = ("job.json", "log.txt")

logger = get_task_logger(__name__)


def program():
    return os.getenv("ETLIFT") or "etlift"


def link_inputs(folder, input_files):
    """Gives the files their names in `folder`; returns which name is which file. Two of one name: the second gets a number in front."""
    names = {}
    for f in input_files:
        base = os.path.basename((f.get("display_name") or "").replace("\0", "")) or f.get("uuid") or "image"
        base = base.lstrip(".") or "image"
        name, n = base, 2
        while name in names:
            name, n = "%d-%s" % (n, base), n + 1
        os.symlink(os.path.abspath(f["path"]), os.path.join(folder, name))
        names[name] = f
    return names


def run_batch(task, inputs, results, config):
    """Runs etlift; returns its batch.json. Its lines, one for each image that is done, are the task's progress."""
    command = [program(), "batch", inputs, "-o", results] + ["--" + name for name in FLAGS if config.get(name)]
    logger.info("%s", " ".join(command))
    done = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            done += 1
            logger.info("%s", line.strip())
            task.send_event("task-progress", data={"images": done, "last": line.strip()})
        errors = process.stderr.read().strip()
    summary = os.path.join(results, "batch.json")
    if not os.path.exists(summary):
        raise RuntimeError(errors or "etlift ended with %d" % process.returncode)
    with open(summary, encoding="utf-8") as f:
        return json.load(f), " ".join(["etlift", "batch"] + command[5:])


def is_done(image):
    return image["status"] in ("done", "done_with_losses")


def decode_events(folder):
    """All events of an image's .etl files in one file for Timesketch."""
    sessions = os.path.join(folder, "sessions")
    files = sorted(os.listdir(sessions)) if os.path.isdir(sessions) else []
    if files:
        subprocess.run(
            [program(), "events", "-q", "--format", "timesketch", "-o", os.path.join(folder, "events.timesketch.jsonl")]
            + [os.path.join(sessions, name) for name in files],
            check=True,
        )


def take_files(folder, source, display, output_path):
    """Moves the files of an image's folder into the workflow's; returns the output files, and the logs."""
    outputs, logs = [], []
    for root, dirs, files in os.walk(folder):
        dirs.sort()
        for name in sorted(files):
            is_log = name in LOGS
            out = create_output_file(
                output_path,
                display_name="%s-%s" % (display, name),
                data_type="openrelik:etlift:log" if is_log else DATA_TYPES.get(name) or DATA_TYPES.get(os.path.splitext(name)[1]),
                original_path=os.path.relpath(os.path.join(root, name), folder),
                source_file_id=source.get("id"),
            )
            shutil.move(os.path.join(root, name), out.path)
            (logs if is_log else outputs).append(out.to_dict())
    return outputs, logs


def make_report(images, failed):
    report = Report("ETW traces from memory")
    report.priority = Priority.MEDIUM if failed else Priority.INFO
    report.summary = "%d events of %d sessions from %d images" % (
        sum(i["events"] or 0 for i in images),
        sum(i["sessions"] or 0 for i in images),
        len(images) - len(failed),
    ) + (", %d failed" % len(failed) if failed else "")
    section = report.add_section()
    section.add_paragraph(report.summary)
    table = MarkdownTable(["image", "status", "build", "sessions", "events", "losses", "reason"])
    for i in images:
        cells = [i["name"], i["status"], i["build"], i["sessions"], i["events"], i["losses"], i["error"]]
        table.add_row(["" if c is None else str(c).replace("|", "\\|") for c in cells])
    section.add_table(table)
    return report


@celery.task(bind=True, name=TASK_NAME, metadata=TASK_METADATA)
def recover(
    self,
    pipe_result: str = None,
    input_files: list = None,
    output_path: str = None,
    workflow_id: str = None,
    task_config: dict = None,
) -> str:
    """Recovers from every input file; the arguments and the result are as OpenRelik has them."""
    config = task_config or {}
    input_files = get_input_files(pipe_result, input_files or [])
    if not input_files:
        raise RuntimeError("no input file")
    outputs, logs, failed = [], [], {}
    with tempfile.TemporaryDirectory(dir=output_path, prefix=".etlift-") as work:
        inputs, results = os.path.join(work, "in"), os.path.join(work, "out")
        os.mkdir(inputs)
        names = link_inputs(inputs, input_files)
        batch, command = run_batch(self, inputs, results, config)
        for image in batch["images"]:
            source = names[os.path.basename(image["image"])]
            image["name"] = source.get("display_name") or os.path.basename(image["image"])
            # the link's path is of no meaning to the reader
            image["error"] = (image["error"] or "").removeprefix(image["image"] + ": ") or None
            if not is_done(image):
                failed[image["name"]] = image["error"]
        if not any(is_done(image) for image in batch["images"]):
            raise RuntimeError("no image gave anything: " + "; ".join("%s: %s" % f for f in failed.items()))
        for image in batch["images"]:
            source = names[os.path.basename(image["image"])]
            folder = os.path.join(results, image["folder"])
            ok = is_done(image)
            if ok and config.get("events"):
                decode_events(folder)
            out, log = take_files(folder, source, image["name"], output_path)
            # what a failed image leaves is for people, and no input of the next worker
            outputs += out if ok else []
            logs += log if ok else out + log
    report = make_report(batch["images"], failed)
    return create_task_result(
        output_files=outputs,
        task_files=logs,
        workflow_id=workflow_id,
        command=command,
        meta={"images": len(batch["images"]), "failed": failed},
        task_report=report.to_dict(),
    )
