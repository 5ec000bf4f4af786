import base64
import json


def get_input_files(pipe_result, input_files, filter=None):
    assert filter is None, "not in the stand-in"
    return json.loads(base64.b64decode(pipe_result)).get("output_files", []) if pipe_result else input_files


def create_task_result(output_files, workflow_id, task_files=(), command=None, meta=None, file_reports=(), task_report=None):
    result = {
        "output_files": output_files,
        "workflow_id": workflow_id,
        "task_files": list(task_files),
        "command": command,
        "meta": meta,
        "file_reports": list(file_reports),
        "task_report": task_report,
    }
    return base64.b64encode(json.dumps(result).encode()).decode()
