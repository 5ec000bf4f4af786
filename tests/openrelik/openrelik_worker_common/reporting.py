import enum


class Priority(enum.IntEnum):
    CRITICAL, HIGH, MEDIUM, LOW, INFO = 80, 40, 20, 10, 5


class MarkdownTable:
    def __init__(self, columns):
        self.rows = [columns, ["---"] * len(columns)]

    def add_row(self, row):
        assert len(row) == len(self.rows[0]) and all(isinstance(c, str) for c in row)
        self.rows.append(row)

    def to_markdown(self):
        return "\n" + "".join("|" + "|".join(r) + "|\n" for r in self.rows)


class Section:
    def __init__(self):
        self.content = []

    def add_paragraph(self, text):
        self.content.append("\n%s\n" % text.strip())

    def add_table(self, table):
        self.content.append(table.to_markdown())


class Report:
    def __init__(self, title=None):
        self.title, self.priority, self.summary, self.sections = title, Priority.LOW, "", []

    def add_section(self):
        self.sections.append(Section())
        return self.sections[-1]

    def to_dict(self):
        content = "\n".join(["# " + self.title] + ["\n".join(s.content) for s in self.sections])
        return {"title": self.title, "summary": self.summary, "content": content, "priority": self.priority.value}
