/* child.c - child.h by CreateProcess. What a child does first (child_opts.prepare) is done here, before it is started: there is no fork.
 *
 * A lock (child_opts.keep_fd) is this process's own and stays so: a child does not outlive it.
 * Each child stands in a job object of its own, which bounds its memory and ends it when this process ends, however that is. */
#include "child.h"

#include "buf.h"
#include "winpath.h"

#include <inttypes.h>

#define CHILDREN_MAX 1024
#define KILLED       0xC000013Au /* STATUS_CONTROL_C_EXIT: the exit status of one that child_kill() ended */

struct running {
	HANDLE process, job; /* process NULL: it ended in prepare */
	int64_t pid;         /* 0: free */
	int status;
};

static struct running table[CHILDREN_MAX];
static int64_t last_made_up; /* pids of those that never ran: below 0 */

static int fail(struct err *e, const char *what)
{
	return err_set(e, ERR_IO, "can't start a process: %s: Windows error %lu", what, (unsigned long)GetLastError());
}

/* One word as the C library takes a command line apart: Microsoft, "Parsing C command-line arguments". */
static void put_word(struct buf *b, const char *s)
{
	buf_puts(b, b->n ? " \"" : "\"");
	for (;;) {
		size_t slashes = strspn(s, "\\");

		s += slashes;
		for (size_t i = 0; i < (*s == '"' || !*s ? 2 * slashes : slashes); i++)
			buf_puts(b, "\\");
		if (!*s)
			break;
		if (*s == '"')
			buf_puts(b, "\\");
		buf_put(b, s++, 1);
	}
	buf_puts(b, "\"");
}

static HANDLE make_job(uint64_t bytes)
{
	JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit;
	HANDLE job = CreateJobObjectW(NULL, NULL);

	memset(&limit, 0, sizeof(limit));
	limit.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | (bytes ? JOB_OBJECT_LIMIT_PROCESS_MEMORY : 0);
	limit.ProcessMemoryLimit = bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
	if (job && !SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit, sizeof(limit))) {
		CloseHandle(job);
		return NULL;
	}
	return job;
}

static HANDLE inheritable(const char *path, bool make)
{
	SECURITY_ATTRIBUTES sa = {.nLength = sizeof(sa), .bInheritHandle = TRUE};
	wchar_t *w = win_path(path);
	HANDLE h = w ? CreateFileW(w, make ? GENERIC_WRITE : GENERIC_READ | GENERIC_WRITE,
				   FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, &sa, make ? CREATE_ALWAYS : OPEN_EXISTING,
				   FILE_ATTRIBUTE_NORMAL, NULL)
		     : INVALID_HANDLE_VALUE;

	free(w);
	return h;
}

/* The process with these three handles and no others. */
static int spawn(struct running *r, wchar_t *line, HANDLE null, HANDLE log, struct err *e)
{
	HANDLE inherit[2] = {null, log};
	STARTUPINFOEXW si;
	PROCESS_INFORMATION pi;
	wchar_t self[32768];
	SIZE_T size = 0;
	BOOL ok;

	memset(&si, 0, sizeof(si));
	si.StartupInfo.cb = sizeof(si);
	si.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
	si.StartupInfo.hStdInput = si.StartupInfo.hStdOutput = null;
	si.StartupInfo.hStdError = log;
	InitializeProcThreadAttributeList(NULL, 1, 0, &size);
	si.lpAttributeList = malloc(size);
	if (!si.lpAttributeList)
		return err_set(e, ERR_NOMEM, "out of memory");
	ok = InitializeProcThreadAttributeList(si.lpAttributeList, 1, 0, &size) &&
	     UpdateProcThreadAttribute(si.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherit,
				       log == null ? sizeof(null) : sizeof(inherit), NULL, NULL) &&
	     GetModuleFileNameW(NULL, self, 32768) &&
	     CreateProcessW(self, line, NULL, NULL, TRUE, CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP | EXTENDED_STARTUPINFO_PRESENT, NULL,
			    NULL, &si.StartupInfo, &pi);
	free(si.lpAttributeList);
	if (!ok)
		return fail(e, "CreateProcess");
	if (!AssignProcessToJobObject(r->job, pi.hProcess) || ResumeThread(pi.hThread) == (DWORD)-1) {
		int rc = fail(e, "its job object");

		TerminateProcess(pi.hProcess, KILLED);
		CloseHandle(pi.hThread);
		CloseHandle(pi.hProcess);
		return rc;
	}
	CloseHandle(pi.hThread);
	r->process = pi.hProcess;
	r->pid = (int64_t)pi.dwProcessId;
	return 0;
}

static int run(struct running *r, const struct child_opts *o, struct err *e)
{
	HANDLE null = inheritable("NUL", false), log = o->log ? inheritable(o->log, true) : null;
	struct buf b;
	wchar_t *line;
	int rc;

	buf_init(&b);
	for (size_t i = 0; o->argv[i]; i++)
		put_word(&b, o->argv[i]);
	line = b.failed ? NULL : win_wide(buf_str(&b));
	buf_free(&b);
	r->job = make_job(o->memory_bytes);
	if (!line)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	else if (null == INVALID_HANDLE_VALUE || log == INVALID_HANDLE_VALUE)
		rc = fail(e, o->log);
	else if (!r->job)
		rc = fail(e, "CreateJobObject");
	else
		rc = spawn(r, line, null, log, e);
	if (rc < 0 && r->job)
		CloseHandle(r->job);
	free(line);
	if (log != null && log != INVALID_HANDLE_VALUE)
		CloseHandle(log);
	if (null != INVALID_HANDLE_VALUE)
		CloseHandle(null);
	return rc;
}

int child_start(pid_t *out, const struct child_opts *o, struct err *e)
{
	struct running *r = NULL;
	int rc = 0;

	for (size_t i = 0; i < CHILDREN_MAX && !r; i++)
		if (!table[i].pid)
			r = &table[i];
	if (!r)
		return err_set(e, ERR_LIMIT, "more than %d processes at once", CHILDREN_MAX);
	memset(r, 0, sizeof(*r));
	r->status = o->prepare ? o->prepare(o->ctx) : 0;
	if (r->status)
		r->pid = --last_made_up;
	else
		rc = run(r, o, e);
	if (rc == 0)
		*out = (pid_t)r->pid;
	return rc;
}

/* An exit status of 0xC....... is an exception that nobody caught: what would be a signal elsewhere. */
static int signal_of(DWORD status)
{
	switch (status) {
	case KILLED:
		return SIGKILL;
	case 0xC0000005: /* access violation */
	case 0xC00000FD: /* stack overflow */
		return SIGSEGV;
	case 0xC0000094: /* division by zero */
	case 0xC0000095:
		return SIGFPE;
	case 0xC000001D:
		return SIGILL;
	default:
		return status >= 0xC0000000 ? SIGABRT : 0;
	}
}

static void take(struct running *r, struct child_end *out)
{
	DWORD status = (DWORD)r->status;

	if (r->process) {
		GetExitCodeProcess(r->process, &status);
		CloseHandle(r->process);
		CloseHandle(r->job);
	}
	*out = (struct child_end){.pid = (pid_t)r->pid, .signal = signal_of(status)};
	out->status = out->signal ? 0 : (int)status;
	r->pid = 0;
}

int child_wait(struct child_end *out, unsigned ms, struct err *e)
{
	for (unsigned waited = 0;; waited += 10) {
		bool any = false;

		for (size_t i = 0; i < CHILDREN_MAX; i++) {
			struct running *r = &table[i];

			if (!r->pid)
				continue;
			any = true;
			if (r->process && WaitForSingleObject(r->process, 0) == WAIT_TIMEOUT)
				continue;
			take(r, out);
			return 1;
		}
		if (!any)
			return err_set(e, ERR_NOTFOUND, "no process is left");
		if (waited >= ms)
			return 0;
		Sleep(10);
	}
}

void child_kill(pid_t pid)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (table[i].pid == (int64_t)pid && table[i].process)
			TerminateProcess(table[i].process, KILLED);
}

uint64_t child_bytes_read(pid_t pid)
{
	IO_COUNTERS io;

	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (table[i].pid == (int64_t)pid && table[i].process && GetProcessIoCounters(table[i].process, &io))
			return io.ReadTransferCount;
	return 0;
}

int child_try(int (*fn)(void *ctx), void *ctx)
{
	(void)fn;
	(void)ctx;
	return 0;
}
