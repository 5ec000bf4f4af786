"""Stands in for openrelik-worker-common (github.com/openrelik) where it is not installed: only what contrib/openrelik uses, written from its documented
formats of files, results and reports. The test takes the real one when there is one."""
