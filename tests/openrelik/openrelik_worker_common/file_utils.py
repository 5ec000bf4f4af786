import os
import uuid


class OutputFile:
    MEMBERS = ("uuid", "display_name", "extension", "data_type", "path", "original_path", "source_file_id")

    def to_dict(self):
        return {name: getattr(self, name) for name in self.MEMBERS}


def create_output_file(output_base_path, display_name=None, extension=None, data_type=None, original_path=None, source_file_id=None):
    f = OutputFile()
    f.uuid = uuid.uuid4().hex
    f.display_name = (display_name or f.uuid) + ("." + extension.lstrip(".") if extension else "")
    f.extension = os.path.splitext(f.display_name)[1]
    f.path = os.path.join(output_base_path, f.uuid + f.extension)
    f.data_type, f.original_path, f.source_file_id = data_type, original_path, source_file_id
    return f
