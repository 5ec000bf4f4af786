/* child.c - see child.h */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRY_SECONDS 60
#define FAILED      127 /* as shells have it: the program could not be started */

static void redirect(const char *log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fd = log ? open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666) : null;

	if (null < 0 || fd < 0)
		_exit(FAILED);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
}

static void run(const struct child_opts *o, pid_t parent)
{
	struct rlimit limit = {.rlim_cur = o->memory_bytes, .rlim_max = o->memory_bytes};
	int rc;

	signal(SIGINT, SIG_IGN); /* the parent hears it and decides */
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(FAILED);
	rc = o->prepare ? o->prepare(o->ctx) : 0;
	if (rc)
		_exit(rc);
	redirect(o->log);
	if (o->keep_fd > STDERR_FILENO && fcntl(o->keep_fd, F_SETFD, 0) < 0)
		_exit(FAILED);
	if (o->memory_bytes && setrlimit(RLIMIT_AS, &limit) < 0)
		_exit(FAILED);
	execv("/proc/self/exe", (char *const *)(uintptr_t)o->argv);
	_exit(FAILED);
}

int child_start(pid_t *out, const struct child_opts *o, struct err *e)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return err_set(e, ERR_IO, "can't start a process: %s", strerror(errno));
	if (pid == 0)
		run(o, parent);
	*out = pid;
	return 0;
}

int child_wait(struct child_end *out, unsigned ms, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 10000000};

	for (unsigned waited = 0;; waited += 10) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			*out = (struct child_end){.pid = pid,
						  .status = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
						  .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0};
			return 1;
		}
		if (pid < 0 && errno != EINTR)
			return err_set(e, ERR_NOTFOUND, "no process is left");
		if (waited >= ms)
			return 0;
		nanosleep(&nap, NULL);
	}
}

void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
}

int child_try(int (*fn)(void *ctx), void *ctx)
{
	const struct rlimit none = {0, 0};
	int status = 0;
	pid_t pid = fork(), got;

	if (pid < 0)
		return 0;
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		signal(SIGALRM, SIG_DFL);
		alarm(TRY_SECONDS);
		redirect(NULL);
		_exit(fn(ctx));
	}
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	return got == pid && WIFEXITED(status) && WEXITSTATUS(status) <= 100 ? WEXITSTATUS(status) : CHILD_DIED;
}

uint64_t child_bytes_read(pid_t pid)
{
	unsigned long long n = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/io", (long)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "rchar: %llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}
